// Requests, good and bad, with the statuses of their replies and whether the connection goes on.
// Every vector is fed whole, byte by byte and at random splits: see session_split_test.cc.
#pragma once

#include <string>
#include <vector>

#include "http/session.h"
#include "sluice/options.h"

namespace sluice::http {

struct RequestVector {
  const char* name;
  std::string bytes;
  std::vector<int> statuses;
  Next next;
};

// Bounds of the Site that the vectors are written for.
inline Options VectorOptions() {
  Options options;
  options.header_bytes_max = 1'024;
  options.target_bytes_max = 256;
  options.body_bytes_max = 64;
  return options;
}

const std::vector<RequestVector>& RequestVectors();

}  // namespace sluice::http
