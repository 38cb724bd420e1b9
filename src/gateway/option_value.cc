#include "gateway/option_value.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <type_traits>

namespace sluice {
namespace {

struct UnitSuffix {
  std::string_view text;
  uint64_t factor;
};

constexpr UnitSuffix kByteSuffixes[] = {
    {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"G", 1 << 30},
    {"M", 1 << 20},   {"K", 1 << 10},   {"B", 1},
};
constexpr UnitSuffix kDurationSuffixes[] = {
    {"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}};

Status Wrong(std::string_view value, std::string_view why) {
  return Status::InvalidArgument("\"" + std::string(value) + "\" " + std::string(why));
}

// Digits at the start of `text`, which then begins after them.
bool TakeNumber(std::string_view* text, uint64_t* number) {
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *number);
  if (error != std::errc()) return false;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return true;
}

bool TakeSuffix(std::string_view text, std::span<const UnitSuffix> suffixes, uint64_t* number) {
  for (const UnitSuffix& suffix : suffixes) {
    if (text != suffix.text) continue;
    if (*number > std::numeric_limits<uint64_t>::max() / suffix.factor) return false;
    *number *= suffix.factor;
    return true;
  }
  return false;
}

Status ParseNumber(OptionUnit unit, bool unit_in_name, std::string_view value, uint64_t* number) {
  std::string_view rest = value;
  if (!TakeNumber(&rest, number)) {
    if (unit == OptionUnit::kBytes) return Wrong(value, "is no size; write 65536 or 64KiB");
    if (unit == OptionUnit::kDuration && !unit_in_name) {
      return Wrong(value, "is no duration; write 15s or 500ms");
    }
    return Wrong(value, "is no number; write digits only");
  }
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  if (unit == OptionUnit::kBytes) {
    if (rest.empty() || TakeSuffix(rest, kByteSuffixes, number)) return Status::Ok();
    return Wrong(value, "is no size; write 65536 or 64KiB (units: B, KiB, MiB, GiB)");
  }
  if (unit == OptionUnit::kDuration && !unit_in_name) {
    if (rest.empty() && *number == 0) return Status::Ok();
    if (rest.empty()) {
      const std::string digits(value);
      return Wrong(value, "has no unit; write " + digits + "s or " + digits + "ms");
    }
    if (TakeSuffix(rest, kDurationSuffixes, number)) return Status::Ok();
    return Wrong(value, "is no duration; write 15s or 500ms (units: ms, s, m, h)");
  }
  if (rest.empty()) return Status::Ok();
  return Wrong(value, "is no number; write digits only");
}

std::string FormatNumber(OptionUnit unit, uint64_t number) {
  if (unit == OptionUnit::kBytes) return FormatBytes(number);
  if (unit == OptionUnit::kDuration) return FormatDuration(number);
  return std::to_string(number);
}

Status CheckRange(const OptionSpec& option, std::string_view value, uint64_t number) {
  if (number == 0 && !option.zero.empty()) return Status::Ok();
  if (number >= option.minimum && number <= option.maximum) return Status::Ok();
  std::string why = "is out of range; write " + FormatNumber(option.unit, option.minimum) + " to " +
                    FormatNumber(option.unit, option.maximum);
  if (!option.zero.empty() && option.minimum > 0) why += ", or 0: " + std::string(option.zero);
  return Wrong(value, why);
}

Status ParseSwitch(std::string_view value, bool* is_on) {
  if (value == "on" || value == "true") {
    *is_on = true;
  } else if (value == "off" || value == "false") {
    *is_on = false;
  } else {
    return Wrong(value, "is neither; write on or off");
  }
  return Status::Ok();
}

Status ParseEngine(std::string_view value, EngineChoice* engine) {
  if (value == "auto") {
    *engine = EngineChoice::kAuto;
  } else if (value == "io_uring") {
    *engine = EngineChoice::kIoUring;
  } else if (value == "epoll") {
    *engine = EngineChoice::kEpoll;
  } else {
    return Wrong(value, "is no engine; write auto, io_uring or epoll");
  }
  return Status::Ok();
}

std::string_view FormatEngine(EngineChoice engine) {
  switch (engine) {
    case EngineChoice::kAuto:
      return "auto";
    case EngineChoice::kIoUring:
      return "io_uring";
    case EngineChoice::kEpoll:
      return "epoll";
  }
  return "";
}

std::string Join(const std::vector<std::string>& values) {
  std::string joined;
  for (const std::string& value : values) {
    if (!joined.empty()) joined += ",";
    joined += value;
  }
  return joined;
}

template <typename Member>
struct FieldOf;
template <typename T>
struct FieldOf<T Options::*> {
  using Type = T;
};

}  // namespace

Status SetOption(const OptionSpec& option, const std::vector<std::string>& values,
                 bool unit_in_name, Options* options) {
  if (option.is_list()) {
    options->*std::get<std::vector<std::string> Options::*>(option.field) = values;
    return Status::Ok();
  }
  if (option.unit == OptionUnit::kCpuList) {
    return ParseCpuList(Join(values),
                        &(options->*std::get<std::vector<uint32_t> Options::*>(option.field)));
  }
  if (values.size() != 1) return Status::InvalidArgument("takes one value");
  const std::string& value = values.front();
  return std::visit(
      [&](auto field) -> Status {
        using T = typename FieldOf<decltype(field)>::Type;
        if constexpr (std::is_same_v<T, bool>) {
          return ParseSwitch(value, &(options->*field));
        } else if constexpr (std::is_same_v<T, EngineChoice>) {
          return ParseEngine(value, &(options->*field));
        } else if constexpr (std::is_integral_v<T>) {
          uint64_t number = 0;
          if (Status s = ParseNumber(option.unit, unit_in_name, value, &number); !s.ok()) return s;
          if (Status s = CheckRange(option, value, number); !s.ok()) return s;
          options->*field = static_cast<T>(number);
          return Status::Ok();
        } else if constexpr (std::is_same_v<T, std::string>) {
          options->*field = value;
          return Status::Ok();
        } else {
          return Status::Internal("an option of the table has no reader");
        }
      },
      option.field);
}

std::string FormatOption(const OptionSpec& option, const Options& options) {
  return std::visit(
      [&](auto field) -> std::string {
        using T = typename FieldOf<decltype(field)>::Type;
        if constexpr (std::is_same_v<T, bool>) {
          return options.*field ? "on" : "off";
        } else if constexpr (std::is_same_v<T, EngineChoice>) {
          return std::string(FormatEngine(options.*field));
        } else if constexpr (std::is_integral_v<T>) {
          return FormatNumber(option.unit, options.*field);
        } else if constexpr (std::is_same_v<T, std::string>) {
          return options.*field;
        } else if constexpr (std::is_same_v<T, std::vector<uint32_t>>) {
          return FormatCpuList(options.*field);
        } else {
          return Join(options.*field);
        }
      },
      option.field);
}

std::string FormatBytes(uint64_t bytes) {
  if (bytes == 0) return "0";
  for (const UnitSuffix& suffix : kByteSuffixes) {
    if (suffix.text.size() == 3 && bytes % suffix.factor == 0) {
      return std::to_string(bytes / suffix.factor) + std::string(suffix.text);
    }
  }
  return std::to_string(bytes);
}

std::string FormatDuration(uint64_t milliseconds) {
  if (milliseconds == 0) return "0";
  const UnitSuffix* best = &kDurationSuffixes[0];
  for (const UnitSuffix& suffix : kDurationSuffixes) {
    // Minutes and hours only where they are whole and more than one: 60s reads better than 1m.
    const bool is_plain = suffix.factor <= 1'000 || milliseconds / suffix.factor > 1;
    if (milliseconds % suffix.factor == 0 && is_plain) best = &suffix;
  }
  return std::to_string(milliseconds / best->factor) + std::string(best->text);
}

std::string FormatCpuList(const std::vector<uint32_t>& cpus) {
  std::string text;
  for (size_t first = 0; first < cpus.size();) {
    size_t last = first;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    if (!text.empty()) text += ",";
    text += std::to_string(cpus[first]);
    if (last > first) text += "-" + std::to_string(cpus[last]);
    first = last + 1;
  }
  return text;
}

Status ParseCpuList(std::string_view text, std::vector<uint32_t>* cpus) {
  constexpr uint64_t kCpuMax = 4'095;
  std::vector<uint32_t> parsed;
  for (const std::string& part : SplitAtCommas(text)) {
    std::string_view rest = part;
    uint64_t first = 0;
    if (!TakeNumber(&rest, &first)) return Wrong(text, "is no list of processors; write 0,2-3");
    uint64_t last = first;
    if (rest.starts_with('-')) {
      rest.remove_prefix(1);
      if (!TakeNumber(&rest, &last)) return Wrong(text, "is no list of processors; write 0,2-3");
    }
    if (!rest.empty() || last < first) {
      return Wrong(text, "is no list of processors; write 0,2-3");
    }
    if (last > kCpuMax) return Wrong(text, "names a processor above 4095");
    for (uint64_t cpu = first; cpu <= last; ++cpu) {
      if (std::find(parsed.begin(), parsed.end(), cpu) != parsed.end()) {
        return Wrong(text, "names processor " + std::to_string(cpu) + " twice; name each once");
      }
      parsed.push_back(static_cast<uint32_t>(cpu));
    }
  }
  *cpus = std::move(parsed);
  return Status::Ok();
}

std::vector<std::string> SplitAtCommas(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    std::string_view part = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

}  // namespace sluice
