// A small event-stream server that does one thing wrong, on purpose, and counts how often it did.
//
// Every `every`-th event is mistreated, for the newest subscriber of its topic or for all.
// Everything else it does right, so what the meter reports must be exactly what the server counted.
//
// A reader that comes with a Last-Event-ID, without a topic, gets what came after that event.
//
// /stream/TOPIC and /publish/TOPIC are of that topic, /stream and /broadcast of the one without
// name.
//
// Thread: serves on one of its own; `injected` may be read by any. Ends with the object.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace sluice::bench {

enum class Fault { kNone, kLose, kRepeat, kReorder, kCorrupt, kDelay, kRefuse, kHangUp, kMisroute };

struct FaultyOptions {
  Fault fault = Fault::kNone;
  uint32_t every = 10;
  bool hits_all = false;    // or only the newest subscriber; kMisroute: of the other topics
  bool is_chunked = false;  // chunked transfer encoding, chunk heads cut in two
  int delay_ms = 300;       // of kDelay, once, at event `every`
  // What servers of event streams may do, and what is no fault.
  std::string line_end = "\n";
  bool has_bom = false;
  bool is_talkative = false;      // comments, keep-alives, fields and events of its own
  bool closes_publishes = false;  // a connection a publish
  bool has_history = true;        // who comes with a Last-Event-ID gets what followed that
  bool hits_replays = false;      // events are mistreated in replays only, for each reader
};

class FaultyServer {
 public:
  explicit FaultyServer(const FaultyOptions& options);
  ~FaultyServer();
  FaultyServer(const FaultyServer&) = delete;
  FaultyServer& operator=(const FaultyServer&) = delete;

  std::string stream_url() const { return base_ + "/stream"; }
  std::string publish_url() const { return base_ + "/broadcast"; }
  // How often a subscriber was wronged.
  uint64_t injected() const { return injected_.load(); }
  // How often an event was for a subscriber, whatever became of it.
  uint64_t due() const { return due_.load(); }

 private:
  void Serve();
  void Accept();
  void OnReadable(int fd);
  void OnEvent(const std::string& topic, const std::string& body);
  bool IsWrong(uint64_t event) const;
  void Replay(int fd, const std::string& request);
  void Write(int fd, const std::string& text);
  void Answer(int fd, const std::string& status, const std::string& body);
  void Mistreat(int fd, const std::string& frame);

  const FaultyOptions options_;
  int listener_ = -1;
  int stop_fd_ = -1;
  std::string base_;
  std::map<int, std::string> requests_;  // of connections that are no stream
  std::vector<int> streams_;
  std::map<int, std::string> topics_;  // by stream
  std::map<int, std::string> held_;    // kReorder: the frame that comes one too late
  uint64_t events_ = 0;
  std::map<uint64_t, std::string> history_;  // frames without a topic, by id
  std::atomic<uint64_t> injected_{0};
  std::atomic<uint64_t> due_{0};
  std::thread thread_;
};

}  // namespace sluice::bench
