// The target of GET /topics: which page.
//
//   /topics ? limit=N & prefix=TEXT & after=NAME
//
// Thread: pure.
// Errors: a fault says which parameter and what it takes; one that is not known is a fault too.
#pragma once

#include <optional>
#include <string_view>

#include "http/fault.h"
#include "http/services.h"

namespace sluice::http {

std::optional<Fault> ReadTopicsTarget(std::string_view query, TopicsRequest* request);

}  // namespace sluice::http
