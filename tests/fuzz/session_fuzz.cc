// libFuzzer target of a whole HTTP connection: see CheckSession for the properties.
#include "fuzz/http_entry.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::http::CheckSession({reinterpret_cast<const char*>(data), size}, size);
  return 0;
}
