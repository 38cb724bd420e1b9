#include "gateway/configuration_file.h"

#include <toml++/toml.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>
#include <type_traits>
#include <vector>

#include "gateway/option_table.h"
#include "gateway/option_value.h"

namespace sluice {
namespace {

constexpr size_t kFileBytesMax = 1024 * 1024;

std::string Place(const std::string& path, const toml::source_region& region) {
  return path + ":" + std::to_string(region.begin.line) + ":" +
         std::to_string(region.begin.column) + ": ";
}

std::string SpellName(const OptionSpec& option) { return std::string(option.name); }

// The node as the words that the flags' readers take.
bool ReadScalar(const toml::node& node, std::string* word) {
  if (const auto* text = node.as_string()) {
    *word = text->get();
  } else if (const auto* number = node.as_integer()) {
    *word = std::to_string(number->get());
  } else if (const auto* is_on = node.as_boolean()) {
    *word = is_on->get() ? "on" : "off";
  } else {
    return false;
  }
  return true;
}

Status ReadWords(const toml::node& node, std::vector<std::string>* words) {
  std::string word;
  if (const auto* array = node.as_array()) {
    for (const toml::node& element : *array) {
      if (!ReadScalar(element, &word)) {
        return Status::InvalidArgument("the list holds what is neither text nor a number");
      }
      words->push_back(word);
    }
    return Status::Ok();
  }
  if (!ReadScalar(node, &word)) {
    return Status::InvalidArgument(
        "the value is neither text, a whole number, a switch nor a list");
  }
  words->push_back(word);
  return Status::Ok();
}

Status ApplyNode(const OptionSpec& option, bool unit_in_name, const toml::node& node,
                 Options* options) {
  if (node.is_array() && !option.is_list() && option.unit != OptionUnit::kCpuList) {
    return Status::InvalidArgument("takes one value, no list");
  }
  if (node.is_boolean() && option.unit != OptionUnit::kSwitch) {
    return Status::InvalidArgument("takes no true or false; see docs/configuration.md");
  }
  if (node.is_integer() &&
      (option.unit == OptionUnit::kText || option.unit == OptionUnit::kEngine)) {
    return Status::InvalidArgument("takes text; put it into quotes");
  }
  std::vector<std::string> words;
  if (Status s = ReadWords(node, &words); !s.ok()) return s;
  return SetOption(option, words, unit_in_name, options);
}

uint64_t NumberOf(const OptionSpec& option, const Options& options) {
  const auto* small = std::get_if<uint32_t Options::*>(&option.field);
  return small != nullptr ? options.**small : options.*std::get<uint64_t Options::*>(option.field);
}

Status ReadText(const toml::node& node, std::string* text) {
  if (node.as_string() == nullptr) return Status::InvalidArgument("takes one word or pattern");
  *text = node.as_string()->get();
  return Status::Ok();
}

// A bound is written and read as the option of the same name.
template <typename Policy>
Status ReadBound(const OptionSpec& option, bool unit_in_name, std::string_view name,
                 const toml::node& node, Policy* policy) {
  Options bounds;
  if (Status s = ApplyNode(option, unit_in_name, node, &bounds); !s.ok()) return s;
  const uint64_t number = NumberOf(option, bounds);
  if (name == "events_max") {
    policy->events_max = number;
  } else if (name == "bytes_max") {
    policy->bytes_max = number;
  } else {
    policy->age_max_ms = number;
  }
  return Status::Ok();
}

template <typename Policy>
Status ReadPolicy(const std::string& section, const toml::table& table, Policy* policy) {
  constexpr bool kHasWord = std::is_same_v<Policy, LagPolicyOptions>;
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    bool unit_in_name = false;
    const OptionSpec* option = FindOption(section + "." + name, &unit_in_name);
    const std::string_view bound = option == nullptr ? "" : option->name.substr(section.size() + 1);
    Status status = Status::Ok();
    if (name == "topics") {
      status = ReadText(node, &policy->topics);
    } else if (bound == "events_max" || bound == "bytes_max" || bound == "age_max") {
      status = ReadBound(*option, unit_in_name, bound, node, policy);
    } else if constexpr (kHasWord) {
      if (name != "policy") {
        return Status::InvalidArgument(
            name + " is no part of it; it has topics, policy, events_max, bytes_max and age_max");
      }
      status = ReadText(node, &policy->policy);
    } else {
      return Status::InvalidArgument(
          name + " is no part of a policy; it has topics, events_max, bytes_max and age_max");
    }
    if (!status.ok()) return Status::InvalidArgument(name + ": " + status.message());
  }
  if (policy->topics.empty()) return Status::InvalidArgument("topics is missing; name a pattern");
  if constexpr (kHasWord) {
    if (policy->policy.empty()) {
      return Status::InvalidArgument("policy is missing; write disconnect, skip or conflate");
    }
  }
  return Status::Ok();
}

template <typename Policy>
Status ApplyPolicies(const std::string& path, const std::string& section, const toml::node& node,
                     std::vector<Policy>* policies) {
  const std::string name = section + ".policy";
  const auto* list = node.as_array();
  if (list == nullptr || !list->is_homogeneous<toml::table>()) {
    return Status::InvalidArgument(Place(path, node.source()) + name +
                                   " is a list of tables; write [[" + name + "]]");
  }
  policies->clear();
  for (const toml::node& element : *list) {
    Policy policy;
    if (Status s = ReadPolicy(section, *element.as_table(), &policy); !s.ok()) {
      return Status::InvalidArgument(Place(path, element.source()) + name + ": " + s.message());
    }
    policies->push_back(std::move(policy));
  }
  return Status::Ok();
}

Status ApplyTable(const std::string& path, const std::string& section, const toml::table& table,
                  Options* options) {
  for (const auto& [key, node] : table) {
    const std::string name =
        section.empty() ? std::string(key.str()) : section + "." + std::string(key.str());
    // Of one word, the option, it is for all topics.
    if (name == "lag.policy" && !node.is_string()) {
      if (Status s = ApplyPolicies(path, section, node, &options->lag_policies); !s.ok()) return s;
      continue;
    }
    bool unit_in_name = false;
    if (const OptionSpec* option = FindOption(name, &unit_in_name)) {
      if (Status s = ApplyNode(*option, unit_in_name, node, options); !s.ok()) {
        return Status::InvalidArgument(Place(path, key.source()) + name + ": " + s.message());
      }
      continue;
    }
    if (name == "history.policy") {
      if (Status s = ApplyPolicies(path, section, node, &options->history_policies); !s.ok()) {
        return s;
      }
      continue;
    }
    if (const toml::table* inner = node.as_table()) {
      if (Status s = ApplyTable(path, name, *inner, options); !s.ok()) return s;
      continue;
    }
    const std::string near = NearestOption(name, SpellName);
    return Status::InvalidArgument(
        Place(path, key.source()) + name + " is no option; " +
        (near.empty() ? "see docs/configuration.md" : "did you mean " + near + "?"));
  }
  return Status::Ok();
}

Status ReadFile(const std::string& path, std::string* text) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return Status::InvalidArgument("--config " + path + ": cannot be read (" +
                                   std::strerror(errno) + "); check the path and its permissions");
  }
  text->resize(kFileBytesMax + 1);
  file.read(text->data(), static_cast<std::streamsize>(text->size()));
  if (file.bad() || file.gcount() == 0) {
    // A directory opens but does not read; an empty file is a configuration without a line.
    if (file.bad() || !file.eof()) {
      return Status::InvalidArgument("--config " + path + ": is no file; name a TOML file");
    }
  }
  if (static_cast<size_t>(file.gcount()) > kFileBytesMax) {
    return Status::InvalidArgument("--config " + path +
                                   ": is larger than 1 MiB; name a TOML file of options");
  }
  text->resize(static_cast<size_t>(file.gcount()));
  return Status::Ok();
}

}  // namespace

Status ApplyConfigurationFile(const std::string& path, Options* options) {
  std::string text;
  if (Status s = ReadFile(path, &text); !s.ok()) return s;
  try {
    const toml::table table = toml::parse(text, path);
    return ApplyTable(path, "", table, options);
  } catch (const toml::parse_error& error) {
    return Status::InvalidArgument(Place(path, error.source()) + "is no TOML: " +
                                   std::string(error.description()) + "; correct the line");
  }
}

}  // namespace sluice
