// The configuration file: TOML, one table a section of options.
//
// Thread: a pure function of the file.
// Bounds: a file of at most 1 MiB.
// Errors: kInvalidArgument, one line that begins with FILE:LINE:COLUMN. An unknown name is an
// error,
//         with the nearest known one.
#pragma once

#include <string>

#include "base/status.h"
#include "sluice/options.h"

namespace sluice {

Status ApplyConfigurationFile(const std::string& path, Options* options);

}  // namespace sluice
