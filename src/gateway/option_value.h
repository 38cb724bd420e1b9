// An option's value as a person writes it, and back.
//
//   bytes     = digits [ "B" | "KiB" | "MiB" | "GiB" | "K" | "M" | "G" ]   ; powers of 1024
//   duration  = "0" | digits ( "ms" | "s" | "m" | "h" )
//   cpu list  = range *( "," range ) ; range = digits [ "-" digits ]
//   switch    = "on" | "off" | "true" | "false"
//
// Thread: pure functions.
// Errors: kInvalidArgument with one line: what is wrong with the value and what may stand there.
// The
//         caller puts the option's name and where it came from before it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "gateway/option_table.h"

namespace sluice {

// Sets the option's field from `values` (one, but for lists) and checks its range. With
// `unit_in_name` a duration is a plain number of milliseconds.
Status SetOption(const OptionSpec& option, const std::vector<std::string>& values,
                 bool unit_in_name, Options* options);

// The value in the shortest form that SetOption reads back: "4MiB", "15s", "on", "0,2-3". A list is
// joined by commas.
std::string FormatOption(const OptionSpec& option, const Options& options);

std::string FormatBytes(uint64_t bytes);
std::string FormatDuration(uint64_t milliseconds);
std::string FormatCpuList(const std::vector<uint32_t>& cpus);
Status ParseCpuList(std::string_view text, std::vector<uint32_t>* cpus);

// The parts of `text` between commas, without blanks around them; empty parts are left out.
std::vector<std::string> SplitAtCommas(std::string_view text);

}  // namespace sluice
