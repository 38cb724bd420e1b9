// Which pages may read our answers (the Fetch standard, "CORS protocol"): every one, without
// credentials; or those of the configured origins, with credentials.
//
// Thread: read-only after construction.
// Owner:  the header lines are made once and live as long as the policy.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::http {

class CorsPolicy {
 public:
  explicit CorsPolicy(const std::vector<std::string>& origins);

  // Header lines for an answer to a request of this origin ("" if it names none); errors have them
  // too, or a page could not tell why it was refused. Never a line of the request's own making.
  std::string_view Lines(std::string_view origin) const;

 private:
  std::string other_;                                         // for any origin not listed
  std::vector<std::pair<std::string, std::string>> origins_;  // origin, lines
};

// What a preflight's answer adds.
inline constexpr std::string_view kPreflightLines =
    "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n"
    "Access-Control-Allow-Headers: Last-Event-ID, Authorization, Content-Type, Cache-Control, "
    "Idempotency-Key\r\n"
    "Access-Control-Max-Age: 7200\r\n";

}  // namespace sluice::http
