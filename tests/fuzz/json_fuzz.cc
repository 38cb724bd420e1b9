// libFuzzer target of the JSON check against simdjson's DOM: see CheckJsonText.
#include "fuzz/http_entry.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::http::CheckJsonText({reinterpret_cast<const char*>(data), size});
  return 0;
}
