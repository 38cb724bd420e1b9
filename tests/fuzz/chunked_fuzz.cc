// libFuzzer target of the chunked body against llhttp: see CheckChunked.
#include "fuzz/http_entry.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::http::CheckChunked({reinterpret_cast<const char*>(data), size}, size);
  return 0;
}
