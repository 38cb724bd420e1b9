// Reads a comparison's list, a TOML file like bench/compare.toml.
#include <toml++/toml.h>

#include <filesystem>
#include <sstream>

#include "compare.h"

namespace sluice::bench {
namespace {

namespace fs = std::filesystem;

std::string Filled(std::string text, const std::string& name, const std::string& value) {
  const size_t at = text.find(name);
  return at == std::string::npos ? text : text.replace(at, name.size(), value);
}

Status Wrong(const std::string& path, const std::string& what) {
  return Status::InvalidArgument(path + ": " + what);
}

Status ReadTarget(const std::string& path, const toml::table& table, CompareTarget* target) {
  std::error_code error;
  const std::string root = fs::weakly_canonical(path, error).parent_path().parent_path().string();
  const std::string meter = fs::read_symlink("/proc/self/exe", error).string();
  const auto filled = [&](const std::string& text) {
    return Filled(Filled(text, "{root}", root), "{meter}", meter);
  };
  target->name = table["name"].value_or(std::string());
  target->stream = table["stream"].value_or(std::string("http://127.0.0.1:{port}/stream"));
  target->publish = table["publish"].value_or(std::string("http://127.0.0.1:{port}/broadcast"));
  target->body = table["body"].value_or(target->body);
  target->is_floor = table["floor"].value_or(false);
  target->is_ours = table["ours"].value_or(false);
  if (const toml::array* const command = table["command"].as_array()) {
    for (const auto& one : *command) target->command.push_back(filled(one.value_or(std::string())));
  }
  if (target->name.empty() || target->command.empty()) {
    return Wrong(path, "a [[target]] needs a name and a command");
  }
  return Status::Ok();
}

Status ReadLoad(const std::string& path, const toml::table& table, ComparePlan* plan) {
  if (const toml::array* const list = table["subscribers"].as_array()) {
    for (const auto& one : *list) plan->subscribers.push_back(one.value_or(0u));
  }
  if (const toml::array* const list = table["rates"].as_array()) {
    for (const auto& one : *list) {
      const double rate = one.value_or(one.value_or(std::string()) == "max" ? 0.0 : -1.0);
      if (rate < 0) return Wrong(path, "a rate is a number of events a second, or \"max\"");
      plan->rates.push_back(rate);
    }
  }
  plan->runs = table["runs"].value_or(plan->runs);
  plan->base = table["base"].value_or(std::string());
  FanoutOptions& load = plan->load;
  load.payload_bytes = table["size"].value_or(load.payload_bytes);
  load.duration_s = table["duration"].value_or(load.duration_s);
  load.warmup_s = table["warmup"].value_or(load.warmup_s);
  return Status::Ok();
}

}  // namespace

Status ReadComparePlan(const std::string& path, ComparePlan* plan) {
  // The package is built without exceptions or with them, as the distribution chose: both forms of
  // its result are handled by catching here, at the one place that parses.
  try {
    const toml::table table = toml::parse_file(path);
    if (const toml::table* const load = table["load"].as_table()) {
      const Status status = ReadLoad(path, *load, plan);
      if (!status.ok()) return status;
    }
    if (const toml::array* const targets = table["target"].as_array()) {
      for (const auto& one : *targets) {
        if (!one.is_table()) return Wrong(path, "target is a list of tables: [[target]]");
        CompareTarget target;
        const Status status = ReadTarget(path, *one.as_table(), &target);
        if (!status.ok()) return status;
        plan->targets.push_back(std::move(target));
      }
    }
  } catch (const toml::parse_error& error) {
    std::ostringstream place;
    place << error.source().begin;
    return Wrong(path, std::string(error.description()) + " (" + place.str() + ")");
  }
  if (plan->targets.empty()) return Wrong(path, "no [[target]]");
  if (plan->subscribers.empty()) plan->subscribers = {1'000};
  if (plan->rates.empty()) plan->rates = {0};
  return Status::Ok();
}

}  // namespace sluice::bench
