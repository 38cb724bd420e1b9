// libFuzzer target of events in JSON against simdjson's DOM: see CheckEvents.
#include "fuzz/http_entry.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::http::CheckEvents({reinterpret_cast<const char*>(data), size});
  return 0;
}
