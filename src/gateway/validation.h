// The relations between options, which no range of one option can say.
//
//   event.frame_bytes_max < lag.bytes_max < log.bytes_max   one event never cuts off a reader, and
//                                                           one reader's lag never fills a shard's
//                                                           logs
//   event.frame_bytes_max <= ring.bytes_max                 the largest event can be published
//   log.segment_bytes <= lag.bytes_max                      a pinned block is no more than a lag
//   lag.age_max <= socket.user_timeout                      the lag's bound is the one that cuts
//   http.target_bytes_max <= http.header_bytes_max          414 can be told from 431
//   stream.retry_min <= stream.retry_max
//   stop.delay + stop.spread < stop.timeout                 the streams' goodbyes are sent
//
// and: ring.events_max is a power of two; at least one address; addresses can be read and stand
// once; paths begin with a slash and stand once; origins are origins; the log level is a level.
//
// Thread: a pure function.
// Errors: kInvalidArgument, one line: what, why and what to do; the first relation broken.
#pragma once

#include "base/status.h"
#include "sluice/options.h"

namespace sluice {

Status Validate(const Options& options);

}  // namespace sluice
