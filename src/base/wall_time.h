// Times of CLOCK_MONOTONIC as people read them.
//
// Thread: pure.
#pragma once

#include <cstdint>
#include <string>

namespace sluice {

// What the wall clock is ahead of the monotonic one, now: it may be set.
int64_t WallOffsetNs();
// Appends "2026-01-31T12:00:00.000000Z".
void AppendWallTime(std::string* out, int64_t wall_ns);

}  // namespace sluice
