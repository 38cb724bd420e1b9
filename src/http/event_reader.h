// Reads events from JSON: one, or an array of them.
//
//   event = { "data": any [, "topics": [ name ... ]] [, "event": text] [, "id": text]
//             [, "retry": ms] [, "key": text] }           each once, in any order, and nothing else
//
// Data that is a string is taken as its text; any other as the JSON that was written, to the byte.
// The grammar is CheckJson's; simdjson then finds the structure and decodes the strings.
//
// Thread: its shard's.
// Owner:  the events point into the reader and live until its next Read. Its buffers are used
//         again; what one large text made them grow to is given back by the next.
// Bounds: Options: json_depth_max, topics_per_event_max, ring_events_max for an array.
// Errors: a Fault that says which event, which field, and what would be right.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "event/event.h"
#include "http/fault.h"
#include "sluice/options.h"

namespace sluice::http {

class EventReader {
 public:
  explicit EventReader(const Options& options);
  ~EventReader();

  struct Wants {
    bool takes_array = true;
    bool needs_ids = false;
  };
  std::optional<Fault> Read(std::string_view text, const Wants& wants);

  // What the last Read found; nothing after a fault.
  std::span<const Event> events() const;
  bool is_array() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::http
