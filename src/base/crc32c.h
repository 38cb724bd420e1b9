// CRC-32C (Castagnoli, RFC 3720 appendix B.4), with the SSE 4.2 instruction where the CPU has it.
//
// Thread: pure.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

// Continued from `crc`, which is 0 at the beginning.
uint32_t Crc32c(uint32_t crc, const char* bytes, size_t count);

}  // namespace sluice
