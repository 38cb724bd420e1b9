// One request and its answer, waited for: what is asked beside a run.
//
// Thread: any; blocks for at most some seconds.
// Errors: kUnavailable if there is no whole answer, or its status is not 2xx.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "socket_loop.h"

namespace sluice::bench {

Status Call(const Endpoint& peer, std::string_view request, std::string* answer);

}  // namespace sluice::bench
