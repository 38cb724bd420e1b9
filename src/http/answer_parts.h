// What all answers are made of: the head, a refusal, what comes after the reply.
//
// Thread: the session's.
#pragma once

#include <cstdint>
#include <string>

#include "http/exchange.h"
#include "http/reply.h"

namespace sluice::http {

// What a publisher that found the gateway busy is told to wait.
inline constexpr uint32_t kBusyRetryMs = 1'000;

ReplyHead HeadOf(Site& site, const Exchange& exchange, int64_t now_ns);
Outcome OutcomeOf(const Exchange& exchange);

// "Allow: ...\r\n" of the exchange's path.
std::string_view AllowLine(const Exchange& exchange);

// Appends the reply of a fault, and counts it; `retry_ms` goes into Retry-After of a 503.
Outcome Refuse(Site& site, const Exchange& exchange, const Fault& fault, uint32_t retry_ms,
               int64_t now_ns, std::string* out);

}  // namespace sluice::http
