// What the journal costs and what it reaches, beside the device's own limit in the same run.
//
//   FdatasyncLoop/N         appends N events' bytes to one file and calls fdatasync: the device
//   JournalSynced/N         N publishers that each wait until their event is synced: groups of N
//   JournalFullSpeed/0|1|2  events at full speed until they are offered (memory), written, synced
//   JournalOffer            what the shard that drains the ring pays for an event
//   JournalStart/N          opening a journal of N events
//
// In a folder under TMPDIR (or /tmp), which should be on the disk that is asked about. Events are
// 131 bytes on the wire. Verified before it is timed: what was acknowledged is read back.
#include "journal/journal.h"

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "journal/record.h"

namespace sluice {
namespace {

constexpr size_t kWireBytes = 131;

class Folder {
 public:
  Folder() : path_((std::filesystem::temp_directory_path() / "sluice-bench-XXXXXX").string()) {
    SLUICE_CHECK(mkdtemp(path_.data()) != nullptr);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Frame* MakeFrame(uint64_t sequence) {
  static const std::string text(kWireBytes, 'x');
  const size_t frame_bytes =
      std::string_view("data: \nid: \n\n").size() + Epoch(1).Id(sequence).size();
  Frame* frame =
      Frame::Encode({.data = std::string_view(text).substr(frame_bytes)}, Epoch(1), 4096);
  frame->Stamp(sequence, MonotonicNs(), 1);
  return frame;
}

// A journal and whoever waits for its answers.
class Journalled {
 public:
  explicit Journalled(JournalOptions options) {
    options.on_progress = [this] {
      const std::lock_guard lock(mutex_);
      changed_.notify_all();
    };
    const Status status = Journal::Open(options, &recovery_, &journal_);
    if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
    SLUICE_CHECK(status.ok());
    next_ = recovery_.next_sequence;
  }
  void Offer(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      Frame* frame = MakeFrame(next_++);
      journal_->Offer(*frame);
      frame->Release();
    }
  }
  void AwaitWritten() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return journal_->written_sequence() == next_ - 1; });
  }
  void AwaitDurable() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return journal_->durable_sequence() == next_ - 1; });
  }
  // Lets the journal's thread catch up, so that the queue does not fill.
  void AwaitRoom() {
    while (journal_->Statistics(0).queue_bytes > (32 << 20)) std::this_thread::yield();
  }
  void Verify() {
    AwaitDurable();
    uint64_t events = 0;
    uint64_t looked_at = 0;
    const OnRecord count = [&](const JournalRecord& record) {
      SLUICE_CHECK(record.kind == RecordKind::kEvent && record.wire.size() == kWireBytes);
      return ++events, true;
    };
    SLUICE_CHECK(journal_->ForEach(0, UINT64_MAX, count, &looked_at).ok());
    SLUICE_CHECK(events == next_ - 1);
  }
  void Report(benchmark::State& state, uint64_t events) {
    const JournalStatistics statistics = journal_->Statistics(MonotonicNs());
    state.SetItemsProcessed(static_cast<int64_t>(events));
    state.counters["events/commit"] =
        static_cast<double>(statistics.events_committed) / static_cast<double>(statistics.commits);
    state.counters["lost"] = static_cast<double>(statistics.events_lost);
  }
  Journal& journal() { return *journal_; }
  uint64_t next() const { return next_; }

 private:
  JournalRecovery recovery_;
  std::unique_ptr<Journal> journal_;
  uint64_t next_ = 1;
  std::mutex mutex_;
  std::condition_variable changed_;
};

JournalOptions In(const Folder& folder) {
  JournalOptions options;
  options.directory = folder.path();
  return options;
}

void BM_FdatasyncLoop(benchmark::State& state) {
  const Folder folder;
  const int fd = open((folder.path() + "/file").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  SLUICE_CHECK(fd >= 0);
  const std::string bytes(static_cast<size_t>(state.range(0)) * (kWireBytes + kHoleRecordBytes),
                          'x');
  for (auto _ : state) {
    SLUICE_CHECK(write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    SLUICE_CHECK(fdatasync(fd) == 0);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  close(fd);
}
BENCHMARK(BM_FdatasyncLoop)->Arg(1)->Arg(10)->Arg(100)->Arg(1000)->UseRealTime();

void BM_JournalSynced(benchmark::State& state) {
  const Folder folder;
  Journalled journalled(In(folder));
  const uint64_t group = static_cast<uint64_t>(state.range(0));
  journalled.Offer(group);
  journalled.Verify();
  for (auto _ : state) {
    journalled.Offer(group);
    journalled.AwaitDurable();
  }
  journalled.Report(state, static_cast<uint64_t>(state.iterations()) * group);
}
BENCHMARK(BM_JournalSynced)->Arg(1)->Arg(10)->Arg(100)->Arg(1000)->UseRealTime();

void BM_JournalFullSpeed(benchmark::State& state) {
  const Folder folder;
  JournalOptions options = In(folder);
  const int64_t level = state.range(0);
  options.syncs_each_group = level == 2;
  if (level == 0) options.linger_ns = 5 * kNsPerMs;
  Journalled journalled(options);
  journalled.Offer(1000);
  journalled.Verify();
  constexpr uint64_t kEvents = 500'000;
  for (auto _ : state) {
    for (uint64_t i = 0; i < kEvents; i += 100) {
      journalled.Offer(100);
      journalled.AwaitRoom();
    }
    if (level == 1) journalled.AwaitWritten();
    if (level == 2) journalled.AwaitDurable();
  }
  journalled.Report(state, static_cast<uint64_t>(state.iterations()) * kEvents);
}
BENCHMARK(BM_JournalFullSpeed)
    ->Arg(0)
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void BM_JournalOffer(benchmark::State& state) {
  const Folder folder;
  JournalOptions options = In(folder);
  options.syncs_each_group = false;
  Journalled journalled(options);
  std::vector<Frame*> frames;
  uint64_t next = 1;
  for (auto _ : state) {
    state.PauseTiming();
    for (Frame* frame : frames) frame->Release();
    frames.clear();
    for (int i = 0; i < 10'000; ++i) frames.push_back(MakeFrame(next++));
    journalled.AwaitRoom();
    state.ResumeTiming();
    for (Frame* frame : frames) journalled.journal().Offer(*frame);
  }
  for (Frame* frame : frames) frame->Release();
  state.SetItemsProcessed(state.iterations() * 10'000);
}
BENCHMARK(BM_JournalOffer)->Unit(benchmark::kMicrosecond);

void BM_JournalStart(benchmark::State& state) {
  const Folder folder;
  JournalOptions options = In(folder);
  options.syncs_each_group = false;
  const uint64_t events = static_cast<uint64_t>(state.range(0));
  {
    Journalled journalled(options);
    for (uint64_t i = 0; i < events; i += 1000) {
      journalled.Offer(1000);
      journalled.AwaitRoom();
    }
    journalled.AwaitWritten();
  }
  for (auto _ : state) {
    JournalRecovery recovery;
    std::unique_ptr<Journal> journal;
    SLUICE_CHECK(Journal::Open(options, &recovery, &journal).ok());
    SLUICE_CHECK(recovery.events == events);
    state.PauseTiming();
    journal.reset();
    state.ResumeTiming();
  }
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    bytes += entry.file_size();
  }
  state.counters["disk bytes/event"] = static_cast<double>(bytes) / static_cast<double>(events);
}
BENCHMARK(BM_JournalStart)
    ->Arg(100'000)
    ->Arg(10'000'000)
    ->UseRealTime()
    ->Iterations(5)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sluice
