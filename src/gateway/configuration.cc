#include "gateway/configuration.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include "gateway/configuration_file.h"
#include "gateway/option_table.h"
#include "gateway/option_value.h"

namespace sluice {
namespace {

// A flag of the table on its way through CLI11, which only collects the words.
struct CollectedFlag {
  const OptionSpec* option;
  bool unit_in_name;
  std::string flag;
  std::vector<std::string> words;
};

std::string SpellFlag(const OptionSpec& option) { return "--" + option.Flag(); }
std::string SpellVariable(const OptionSpec& option) { return option.Environment(); }

// CLI11 asks for every flag by name once; the words go to the table's own readers afterwards, so
// that all three sources accept the same values.
class FlagReader {
 public:
  explicit FlagReader(CommandLine* command_line) : app_("sluice") {
    app_.set_help_flag("");
    app_.add_option("--config", command_line->config_path);
    app_.add_flag("--check", command_line->check);
    app_.add_flag("--version", command_line->version);
    app_.add_flag("-h,--help", command_line->help);
    CLI::App* journal = app_.add_subcommand("journal");
    journal->require_subcommand(1);
    for (const char* name : {"inspect", "verify", "export"}) {
      CLI::App* command = journal->add_subcommand(name);
      command->add_option("DIR", command_line->journal_directory)->required();
      command->callback([command_line, name] { command_line->journal_command = name; });
    }
    for (const OptionSpec& option : OptionTable()) {
      Add(option, option.Flag(), false);
      if (!option.alias.empty()) Add(option, std::string(option.alias), false);
      if (option.unit == OptionUnit::kDuration) Add(option, option.Flag() + "-ms", true);
    }
  }

  Status Parse(int argc, const char* const* argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ExtrasError&) {
      return Unknown();
    } catch (const CLI::Error& error) {
      return Status::InvalidArgument(std::string(error.what()) + "; see sluice --help");
    }
    return Status::Ok();
  }

  Status Apply(Options* options) const {
    for (const auto& collected : collected_) {
      if (collected->words.empty()) continue;
      std::vector<std::string> values = collected->words;
      if (collected->option->is_list()) {
        values.clear();
        for (const std::string& word : collected->words) {
          for (std::string& part : SplitAtCommas(word)) values.push_back(std::move(part));
        }
      } else {
        values = {collected->words.back()};  // a wrapper script's caller has the last word
      }
      Status s = SetOption(*collected->option, values, collected->unit_in_name, options);
      if (!s.ok()) return Status::InvalidArgument("--" + collected->flag + ": " + s.message());
    }
    return Status::Ok();
  }

 private:
  void Add(const OptionSpec& option, const std::string& flag, bool unit_in_name) {
    collected_.push_back(
        std::make_unique<CollectedFlag>(CollectedFlag{&option, unit_in_name, flag, {}}));
    app_.add_option("--" + flag, collected_.back()->words)
        ->allow_extra_args(false)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }

  Status Unknown() const {
    const std::vector<std::string> words = app_.remaining();
    std::string word = words.empty() ? "" : words.front();
    if (!word.starts_with('-')) {
      return Status::InvalidArgument("\"" + word +
                                     "\" is no option; options begin with --, see sluice --help");
    }
    word = word.substr(0, word.find('='));
    const std::string near = NearestOption(word, SpellFlag);
    return Status::InvalidArgument(word + " is no option" +
                                   (near.empty() ? "" : "; did you mean " + near + "?") +
                                   (near.empty() ? "; see sluice --help" : ""));
  }

  CLI::App app_;
  std::vector<std::unique_ptr<CollectedFlag>> collected_;
};

// A Kubernetes service named sluice puts SLUICE_SERVICE_HOST, SLUICE_PORT_8181_TCP and the like
// into every pod's environment: they are nobody's mistake.
bool IsServiceLink(std::string_view variable) {
  return variable.starts_with("SLUICE_SERVICE_") || variable == "SLUICE_PORT" ||
         variable.starts_with("SLUICE_PORT_");
}

Status ApplyVariable(std::string_view name, std::string_view value, CommandLine* command_line) {
  for (const OptionSpec& option : OptionTable()) {
    const std::string variable = option.Environment();
    const bool unit_in_name = option.unit == OptionUnit::kDuration && name == variable + "_MS";
    if (name != variable && !unit_in_name) continue;
    std::vector<std::string> values{std::string(value)};
    if (option.is_list()) values = SplitAtCommas(value);
    Status s = SetOption(option, values, unit_in_name, &command_line->options);
    if (!s.ok()) return Status::InvalidArgument(std::string(name) + ": " + s.message());
    return Status::Ok();
  }
  if (IsServiceLink(name)) return Status::Ok();
  const std::string near = NearestOption(name.substr(strlen("SLUICE_")), SpellVariable);
  const std::string nearest = NearestOption(name, SpellVariable);
  const std::string& suggestion = nearest.empty() ? near : nearest;
  command_line->warnings.push_back(
      std::string(name) + " in the environment is no option and was left out" +
      (suggestion.empty() ? "" : "; did you mean " + suggestion + "?"));
  return Status::Ok();
}

Status ApplyEnvironment(const char* const* envp, CommandLine* command_line) {
  for (const char* const* entry = envp; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (!text.starts_with("SLUICE_") || equals == std::string_view::npos) continue;
    const std::string_view name = text.substr(0, equals);
    if (name == "SLUICE_CONFIG") continue;  // read before the file
    Status s = ApplyVariable(name, text.substr(equals + 1), command_line);
    if (!s.ok()) return s;
  }
  return Status::Ok();
}

std::string ConfigPathFromEnvironment(const char* const* envp) {
  constexpr std::string_view kName = "SLUICE_CONFIG=";
  for (const char* const* entry = envp; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (text.starts_with(kName)) return std::string(text.substr(kName.size()));
  }
  return "";
}

}  // namespace

Status ParseCommandLine(int argc, const char* const* argv, const char* const* envp,
                        CommandLine* command_line) {
  *command_line = CommandLine();
  FlagReader flags(command_line);
  if (Status s = flags.Parse(argc, argv); !s.ok()) return s;
  if (command_line->help || command_line->version) return Status::Ok();
  if (!command_line->journal_command.empty()) return Status::Ok();

  if (command_line->config_path.empty()) {
    command_line->config_path = ConfigPathFromEnvironment(envp);
  }
  if (!command_line->config_path.empty()) {
    Status s = ApplyConfigurationFile(command_line->config_path, &command_line->options);
    if (!s.ok()) return s;
  }
  if (Status s = ApplyEnvironment(envp, command_line); !s.ok()) return s;
  if (Status s = flags.Apply(&command_line->options); !s.ok()) return s;
  return Validate(command_line->options);
}

std::string VersionText() {
#ifdef NDEBUG
  const char* kind = "release";
#else
  const char* kind = "debug";
#endif
  return std::string("sluice ") + SLUICE_VERSION + " (" + kind + ", " + SLUICE_COMPILER + ")";
}

}  // namespace sluice
