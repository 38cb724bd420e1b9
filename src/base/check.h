// SLUICE_CHECK: a broken invariant of ours ends the program with the place and the fact. It stays
// on in release builds; SLUICE_DCHECK is for paths run once a delivery and vanishes with NDEBUG.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace sluice {

[[noreturn]] inline void CheckFailed(const char* file, int line, const char* fact) {
  std::fprintf(stderr, "sluice: broken invariant at %s:%d: %s\n", file, line, fact);
  std::abort();
}

}  // namespace sluice

#define SLUICE_CHECK(fact) \
  (__builtin_expect(!!(fact), 1) ? void() : ::sluice::CheckFailed(__FILE__, __LINE__, #fact))
#ifdef NDEBUG
#define SLUICE_DCHECK(fact) void(sizeof(fact))
#else
#define SLUICE_DCHECK(fact) SLUICE_CHECK(fact)
#endif
