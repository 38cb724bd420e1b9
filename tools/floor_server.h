// The bare kernel loop, in the clothes of a server: what delivering costs when nothing else is
// done.
//
// One thread, blocking. A post is read, its event framed once, and the frame sent to every stream
// in one sweep: by `send` one after the other, or by io_uring with registered files in batches of
// 256, all with MSG_DONTWAIT. No watching of streams, no cursors, no order, no bounds. With
// `joined` J the server waits until J posts are under way and sends their frames as one: the gain
// of joining.
//
// With topics a stream is of the group that its path ends with, and a post's frame goes to one
// stream of the group that its path ends with: what a gateway sends where each topic has a reader.
//
// Thread: the caller's, until a signal ends the process.
// Bounds: streams by `send` up to the limit of open files; a reader that is full is waited for.
// Errors: kUnavailable if the port or io_uring cannot be had.
#pragma once

#include <cstdint>

#include "base/status.h"

namespace sluice::bench {

struct FloorOptions {
  uint16_t port = 0;
  bool uses_io_uring = false;
  uint32_t joined = 1;
  bool has_topics = false;  // /stream/TOPIC, /publish/TOPIC
  size_t frame_bytes = 0;   // at least; made up by an `id:` line, as a gateway's frame has one
};

Status RunFloorServer(const FloorOptions& options);

}  // namespace sluice::bench
