// The style that a machine can check, as tests: layers, who may include what, where atomics stand,
// and the words we do not use. docs/design.md says why. Method: every tracked kind of text file is
// read.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {
namespace {

namespace fs = std::filesystem;

struct SourceFile {
  std::string path;  // from the top of the project
  std::vector<std::string> lines;

  // "ring" of src/ring/ring.cc; empty outside the layers.
  std::string Layer() const {
    if (!path.starts_with("src/")) return "";
    const size_t slash = path.find('/', 4);
    return slash == std::string::npos ? "main" : path.substr(4, slash - 4);
  }
  bool IsCode() const { return path.ends_with(".h") || path.ends_with(".cc"); }
};

std::vector<SourceFile> ReadFiles(const std::set<std::string>& folders) {
  const fs::path top = SLUICE_SOURCE_DIR;
  std::vector<SourceFile> files;
  for (const std::string& folder : folders) {
    if (!fs::exists(top / folder)) continue;
    for (auto at = fs::recursive_directory_iterator(top / folder);
         at != fs::recursive_directory_iterator(); ++at) {
      const std::string name = at->path().filename().string();
      if (at->is_directory() && (name == "node_modules" || name == "corpus")) {
        at.disable_recursion_pending();
      }
      if (!at->is_regular_file()) continue;
      SourceFile file{fs::relative(at->path(), top).string(), {}};
      std::ifstream stream(at->path());
      for (std::string line; std::getline(stream, line);) file.lines.push_back(line);
      files.push_back(std::move(file));
    }
  }
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  return files;
}

const std::vector<SourceFile>& Files() {
  static const std::vector<SourceFile> files =
      ReadFiles({"src", "include", "tests", "bench", "tools"});
  return files;
}

std::string Place(const SourceFile& file, size_t index) {
  return file.path + ":" + std::to_string(index + 1) + ": " + file.lines[index];
}

// What an `#include` line names, or nothing.
std::string Included(const std::string& line) {
  static const std::regex include(R"(^\s*#\s*include\s*[<"]([^>"]+)[>"])");
  std::smatch match;
  return std::regex_search(line, match, include) ? match[1].str() : "";
}

// The line without its comment and its strings: what the compiler acts on.
std::string Code(const std::string& line) {
  std::string code;
  bool in_string = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (in_string) {
      if (line[i] == '\\')
        ++i;
      else if (line[i] == '"')
        in_string = false;
      continue;
    }
    if (line[i] == '"') {
      in_string = true;
    } else if (line.compare(i, 2, "//") == 0) {
      break;
    } else {
      code += line[i];
    }
  }
  return code;
}

const std::vector<std::string> kLayers = {"base",     "event",  "ring",      "log",     "history",
                                          "journal",  "engine", "transport", "http",    "publish",
                                          "delivery", "shard",  "feed",      "gateway", "main"};

std::string WithoutEnding(const std::string& path) { return path.substr(0, path.rfind('.')); }

size_t Rank(const std::string& layer) {
  return static_cast<size_t>(std::find(kLayers.begin(), kLayers.end(), layer) - kLayers.begin());
}

TEST(Tidy, ReadsTheProject) { EXPECT_GT(Files().size(), 20u); }

TEST(Tidy, EveryFolderIsALayer) {
  for (const SourceFile& file : Files()) {
    if (!file.IsCode() || file.Layer().empty()) continue;
    EXPECT_LT(Rank(file.Layer()), kLayers.size()) << file.path << " lies in no layer";
  }
}

TEST(Tidy, LayerIncludesOnlyItselfAndThoseBefore) {
  for (const SourceFile& file : Files()) {
    if (!file.IsCode() || file.Layer().empty()) continue;
    for (size_t i = 0; i < file.lines.size(); ++i) {
      const std::string included = Included(file.lines[i]);
      const size_t rank = Rank(included.substr(0, included.find('/')));
      if (included.find('/') == std::string::npos || rank == kLayers.size()) continue;
      EXPECT_LE(rank, Rank(file.Layer())) << Place(file, i);
    }
  }
}

// A header of the outside, and the only places that may know it.
TEST(Tidy, OutsideHeadersStayInTheirPlace) {
  const std::map<std::string, std::vector<std::string>> kAllowed = {
      {"liburing.h", {"src/engine/io_uring", "src/engine/probe", "src/engine/uring"}},
      {"llhttp.h", {"src/http/"}},
      {"rocksdb/", {"src/journal/rocksdb_store", "bench/stores/"}},
      {"simdjson.h", {"src/http/", "src/publish/", "bench/http_bench.cc"}},
      {"CLI/", {"src/gateway/configuration.cc", "tools/"}},
      {"toml++/", {"src/gateway/configuration_file.cc", "tools/"}},
  };
  std::map<std::string, std::set<std::string>> found;
  for (const SourceFile& file : Files()) {
    if (!file.IsCode() || file.path.starts_with("tests/")) continue;
    for (size_t i = 0; i < file.lines.size(); ++i) {
      const std::string included = Included(file.lines[i]);
      for (const auto& [header, places] : kAllowed) {
        if (!included.starts_with(header)) continue;
        found[header].insert(file.path);
        // The load tester and the benches are programs of their own, with loops of their own.
        if (header == "liburing.h" && !file.path.starts_with("src/")) continue;
        EXPECT_TRUE(std::any_of(places.begin(), places.end(), [&](const auto& place) {
          return file.path.starts_with(place);
        })) << Place(file, i);
      }
    }
  }
  // One file parses HTTP; a second one would be a second parser.
  EXPECT_LE(found["llhttp.h"].size(), 2u);
}

TEST(Tidy, AtomicsStandInRingFrameAndCounters) {
  const std::vector<std::string> kPlaces = {
      "src/ring/",          // the order itself
      "src/event/frame",    // the count of a frame's owners
      "src/base/counter.h"  // one writer, any reader
  };
  static const std::regex atomic(
      R"(std::atomic\b|std::atomic_|<atomic>|__atomic_|std::memory_order)");
  // Elsewhere a flag that one thread sets for another says why in its class's header or source.
  std::set<std::string> explained;
  for (const SourceFile& file : Files()) {
    for (const std::string& line : file.lines) {
      if (line.find("// atomic: ") != std::string::npos) explained.insert(WithoutEnding(file.path));
    }
  }
  for (const SourceFile& file : Files()) {
    if (!file.IsCode() || file.Layer().empty()) continue;
    const bool is_place = std::any_of(kPlaces.begin(), kPlaces.end(), [&](const auto& place) {
      return file.path.starts_with(place);
    });
    if (is_place || explained.contains(WithoutEnding(file.path))) continue;
    for (size_t i = 0; i < file.lines.size(); ++i) {
      EXPECT_FALSE(std::regex_search(Code(file.lines[i]), atomic))
          << Place(file, i)
          << "\natomics belong to ring, frame and counters; elsewhere a line `// atomic: WHY` must "
             "stand in the class's header";
    }
  }
}

TEST(Tidy, LinesHaveAtMostHundredColumns) {
  for (const SourceFile& file : Files()) {
    if (!file.IsCode()) continue;
    for (size_t i = 0; i < file.lines.size(); ++i) {
      const std::string& line = file.lines[i];
      // Columns, not bytes: continuation bytes of UTF-8 take none. Raw test data may be longer.
      const auto columns =
          std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; });
      EXPECT_LE(columns, 100) << Place(file, i);
      EXPECT_FALSE(line.ends_with(' ') || line.ends_with('\t')) << Place(file, i);
    }
  }
}

TEST(Tidy, FilesStayUnderFiveHundredLines) {
  for (const SourceFile& file : Files()) {
    if (!file.IsCode() || !file.path.starts_with("src/")) continue;
    EXPECT_LE(file.lines.size(), 500u) << file.path << " holds a second idea; name it";
  }
}

// Spelled in parts, so that this file passes its own test.
TEST(Tidy, NothingIsLeftForLater) {
  static const std::regex later(std::string("\\b(TO") + "DO|FIX" + "ME|X" + "XX|HA" + "CK)\\b");
  for (const SourceFile& file : Files()) {
    for (size_t i = 0; i < file.lines.size(); ++i) {
      EXPECT_FALSE(file.IsCode() && std::regex_search(file.lines[i], later)) << Place(file, i);
    }
  }
}

TEST(Tidy, FilesAreNamedForTheirIdea) {
  static const std::regex vague(
      "(^|[/_.])(utils?|common|helpers?|misc|managers?|workers?)([/_.]|$)");
  static const std::regex snake("^[a-z0-9_]+\\.[a-z]+$");
  for (const SourceFile& file : Files()) {
    EXPECT_FALSE(std::regex_search(file.path, vague)) << file.path;
    if (!file.IsCode()) continue;
    const std::string name = file.path.substr(file.path.rfind('/') + 1);
    EXPECT_TRUE(std::regex_match(name, snake)) << file.path << " is not snake_case";
  }
}

// One word an idea (docs/design.md): these name the same things in other systems.
TEST(Tidy, TypesUseTheWordsOfTheDesign) {
  static const std::regex other(
      R"(\b(class|struct|using)\s+\w*(Message|Worker|Manager|Helper|Util|ClientList)\w*\b)");
  for (const SourceFile& file : Files()) {
    if (!file.IsCode() || !file.path.starts_with("src/")) continue;
    for (size_t i = 0; i < file.lines.size(); ++i) {
      EXPECT_FALSE(std::regex_search(Code(file.lines[i]), other)) << Place(file, i);
    }
  }
}

TEST(Tidy, HeadersAreGuardedAndOpenWithWhatTheyAre) {
  for (const SourceFile& file : Files()) {
    if (!file.path.ends_with(".h")) continue;
    ASSERT_FALSE(file.lines.empty()) << file.path;
    EXPECT_TRUE(file.lines[0].starts_with("// ")) << file.path << " does not say what it is";
    EXPECT_NE(std::find(file.lines.begin(), file.lines.end(), "#pragma once"), file.lines.end())
        << file.path;
  }
}

TEST(Tidy, LibraryCodeNeverPrintsOrExits) {
  static const std::regex prints(
      R"(\b(std::)?(cout|cerr|printf|puts|exit|_exit|quick_exit)\b\s*(\(|<<))");
  for (const SourceFile& file : Files()) {
    if (!file.IsCode() || file.Layer().empty() || file.Layer() == "main") continue;
    for (size_t i = 0; i < file.lines.size(); ++i) {
      EXPECT_FALSE(std::regex_search(Code(file.lines[i]), prints)) << Place(file, i);
    }
  }
}

TEST(Tidy, TestsDoNotSleep) {
  static const std::regex sleeps(R"(\b(sleep_for|sleep_until|usleep|nanosleep|sleep)\s*\()");
  for (const SourceFile& file : Files()) {
    if (!file.IsCode() || !file.path.starts_with("tests/")) continue;
    for (size_t i = 0; i < file.lines.size(); ++i) {
      EXPECT_FALSE(std::regex_search(Code(file.lines[i]), sleeps)) << Place(file, i);
    }
  }
}

}  // namespace
}  // namespace sluice
