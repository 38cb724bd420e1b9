#include "http/cors.h"

namespace sluice::http {

CorsPolicy::CorsPolicy(const std::vector<std::string>& origins) {
  constexpr std::string_view kExpose = "Access-Control-Expose-Headers: Retry-After\r\n";
  for (const std::string& origin : origins) {
    if (origin == "*") {
      origins_.clear();
      other_ = std::string("Access-Control-Allow-Origin: *\r\n").append(kExpose);
      return;
    }
    origins_.emplace_back(origin, "Access-Control-Allow-Origin: " + origin +
                                      "\r\nAccess-Control-Allow-Credentials: true\r\n"
                                      "Vary: Origin\r\n" +
                                      std::string(kExpose));
  }
  // A cache must not give one origin's answer to another, nor the answer without the lines.
  if (!origins_.empty()) other_ = "Vary: Origin\r\n";
}

std::string_view CorsPolicy::Lines(std::string_view origin) const {
  if (!origin.empty()) {
    for (const auto& [allowed, lines] : origins_) {
      if (allowed == origin) return lines;
    }
  }
  return other_;
}

}  // namespace sluice::http
