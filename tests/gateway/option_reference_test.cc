// Goal: the pages that people read say what the program does. They are written from the table of
// options; `scripts/reference` writes them anew (it sets SLUICE_REFERENCE_WRITE for this test).
#include "gateway/option_reference.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "gateway/configuration_file.h"
#include "gateway/option_table.h"
#include "gateway/option_value.h"
#include "gateway/validation.h"

namespace sluice {
namespace {

void ExpectFile(const std::string& name, const std::string& text) {
  const std::string path = std::string(SLUICE_SOURCE_DIR) + "/" + name;
  if (std::getenv("SLUICE_REFERENCE_WRITE") != nullptr) std::ofstream(path) << text;
  std::ifstream file(path);
  std::stringstream found;
  found << file.rdbuf();
  EXPECT_EQ(found.str(), text) << name << " is not what the program says; run scripts/reference";
}

TEST(OptionReference, PageIsTheTable) { ExpectFile("docs/configuration.md", ReferencePage()); }

TEST(OptionReference, InstalledFileIsTheTable) {
  ExpectFile("deploy/sluice.toml", SampleFile(InstalledSettings()));
}

TEST(OptionReference, HelpNamesEveryFlag) {
  const std::string help = HelpText();
  for (const OptionSpec& option : OptionTable()) {
    EXPECT_NE(help.find("  --" + option.Flag() + " <"), std::string::npos) << option.name;
  }
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

// Every line that is commented out is a default, so taking the marks away changes nothing.
TEST(OptionReference, SampleShowsTheDefaults) {
  std::string uncommented;
  std::istringstream lines(SampleFile({}));
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find(" = ");
    const bool is_setting =
        line.starts_with("# ") && equals != std::string::npos && line.find(' ', 2) == equals;
    uncommented += (is_setting ? line.substr(2) : line) + "\n";
  }
  const std::string path = testing::TempDir() + "sample.toml";
  std::ofstream(path) << uncommented;
  Options options;
  options.shards = 7;  // to be set back by the file, which shows that it is read
  const Status status = ApplyConfigurationFile(path, &options);
  ASSERT_TRUE(status.ok()) << status.message();
  for (const OptionSpec& option : OptionTable()) {
    EXPECT_EQ(FormatOption(option, options), FormatOption(option, Options())) << option.name;
    EXPECT_NE(uncommented.find(std::string(option.name.substr(option.name.rfind('.') + 1)) + " = "),
              std::string::npos)
        << option.name;
  }
}

TEST(OptionReference, InstalledFileIsValid) {
  const std::string path = testing::TempDir() + "installed.toml";
  std::ofstream(path) << SampleFile(InstalledSettings());
  Options options;
  Status status = ApplyConfigurationFile(path, &options);
  ASSERT_TRUE(status.ok()) << status.message();
  status = Validate(options);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_FALSE(options.keyless_publish);
  EXPECT_EQ(options.stop_delay_ms, 10'000u);
  EXPECT_EQ(options.publish_key_file, "/etc/sluice/publish.keys");
}

}  // namespace
}  // namespace sluice
