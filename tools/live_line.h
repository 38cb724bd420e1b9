// The line that a command keeps up to date on the terminal while it works.
//
// Thread: one. Errors: none; without a terminal's attention it is only text on stderr.
#pragma once

#include <cstdint>

namespace sluice::bench {

class Crew;

class LiveLine {
 public:
  struct Figures {
    uint64_t connected = 0;
    uint64_t events = 0;
    uint64_t deliveries = 0;
    uint64_t p99_ns = 0;
    uint64_t errors = 0;
  };

  explicit LiveLine(bool is_quiet) : is_quiet_(is_quiet) {}
  ~LiveLine() { Clear(); }
  LiveLine(const LiveLine&) = delete;
  LiveLine& operator=(const LiveLine&) = delete;

  // May be called as often as one likes: the line changes twice a second.
  void Show(const char* phase, const Crew& crew);
  void Show(const char* phase, const Figures& figures);
  void Clear();

 private:
  bool IsDue(int64_t now_ns) const { return !is_quiet_ && now_ns >= due_ns_; }

  const bool is_quiet_;
  bool is_shown_ = false;
  int64_t due_ns_ = 0;
  int64_t at_ns_ = 0;
  uint64_t deliveries_ = 0;
};

}  // namespace sluice::bench
