// The one table of options: every option's name, field, unit, range, and what it means.
//
// Flags, environment variables, the configuration file, --help, docs/configuration.md and
// deploy/sluice.toml all come from it, so none of them can say something else than the program
// does.
//
//   name               flag                  environment               file
//   lag.bytes_max      --lag-bytes-max       SLUICE_LAG_BYTES_MAX      [lag] bytes_max = "4MiB"
//
// A default is what a default-constructed `Options` holds; it is written nowhere else.
//
// Thread: constant data; any thread.
// Owner:  static; pointers and views into the table live as long as the program.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sluice/options.h"

namespace sluice {

enum class OptionUnit {
  kText,      // as it stands
  kCount,     // a plain number
  kBytes,     // a plain number of bytes, or with KiB, MiB, GiB
  kDuration,  // always with its unit (500ms, 15s, 2m, 1h), or 0; kept in milliseconds
  kSwitch,    // on or off
  kEngine,    // auto, io_uring or epoll
  kCpuList,   // 0,2-3
};

using OptionField =
    std::variant<uint32_t Options::*, uint64_t Options::*, bool Options::*, std::string Options::*,
                 EngineChoice Options::*, std::vector<std::string> Options::*,
                 std::vector<uint32_t> Options::*>;

struct OptionSpec {
  std::string_view name;
  OptionField field;
  OptionUnit unit;
  uint64_t minimum = 0;  // of numbers, in the field's unit
  uint64_t maximum = 0;
  std::string_view zero;      // what 0 means; then it is allowed below the minimum too
  std::string_view help;      // one sentence
  std::string_view at_bound;  // what happens at the bound; empty if it is no bound
  std::string_view alias;     // one more flag, without the dashes

  // True if several values make a list: the flag may be repeated.
  bool is_list() const {
    return std::holds_alternative<std::vector<std::string> Options::*>(field);
  }
  std::string Flag() const;         // "lag-bytes-max"
  std::string Environment() const;  // "SLUICE_LAG_BYTES_MAX"
};

// In the order of the documentation; options of one section (the part before the dot) stand
// together.
std::span<const OptionSpec> OptionTable();

// The option a person names in the file, or nullptr. A duration may carry its unit in its name, for
// those who generate numbers: `stop.delay_ms = 500` is `stop.delay = "500ms"`; `*unit_in_name` says
// that it did.
const OptionSpec* FindOption(std::string_view name, bool* unit_in_name);

// For "did you mean": the option that looks most like `text`, as `spell` writes it (its name, flag
// or variable); empty if none is near.
std::string NearestOption(std::string_view text, std::string (*spell)(const OptionSpec&));

}  // namespace sluice
