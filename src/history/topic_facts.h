// What the history knows of a topic, for GET /topics.
//
// Thread: values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace sluice {

struct TopicFacts {
  std::string name;        // "": the events without topics
  uint64_t published = 0;  // since the history knows the topic, in this run
  uint64_t recent = 0;     // of those, in PublishRate's window
  uint64_t events = 0;     // held
  uint64_t bytes = 0;      // of those
  uint64_t first = 0;      // of those; 0: none is held
  uint64_t last = 0;
  int64_t last_ns = 0;  // when it was published
};

// How far History::PutTopicsInOrder has come.
struct TopicOrderStep {
  size_t store = 0;
  uint32_t next = 0;
  uint32_t end = 0;  // as many were there when it came to the store
};

}  // namespace sluice
