// What is wrong with a request: the stable word, and a sentence that says what to do about it.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/reason.h"

namespace sluice::http {

struct Fault {
  Refusal refusal;
  std::string detail;

  Fault(Refusal why, std::string what) : refusal(why), detail(std::move(what)) {}
};

// The envelope's "message": a few words for a person, the same for every case of a refusal.
std::string_view Explanation(Refusal refusal);

}  // namespace sluice::http
