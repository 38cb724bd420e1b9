// What the history costs: an append to a full one, which evicts; reading 10,000 events back by one
// topic, by `**` and by patterns over 1,000 topics; memory by what the kernel says.
//
// Verified before it is timed: a reading gives as many events as were appended for it. All events
// are 131 bytes; a hundredth of them have the topic `hot`, a hundredth none.
#include "history/history.h"

#include <benchmark/benchmark.h>

#include <unistd.h>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "history/chunk_cache.h"
#include "history/shared_history.h"

namespace sluice {
namespace {

constexpr uint64_t kEvents = 1'000'000;
constexpr uint64_t kTopics = 1'000;

Frame* MakeFrame(uint64_t sequence) {
  static const std::string data(99, 'x');
  static const std::vector<std::string> names = [] {
    std::vector<std::string> made;
    for (uint64_t i = 0; i < kTopics; ++i) made.push_back("orders/" + std::to_string(i));
    return made;
  }();
  std::string_view topic = names[sequence * 7'919 % kTopics];
  if (sequence % 100 == 0) topic = "hot";
  const size_t topics = sequence % 100 == 1 ? 0 : 1;
  Frame* frame = Frame::Encode({.data = data, .topics = {&topic, topics}}, Epoch(1), 4'096);
  frame->Stamp(sequence, static_cast<int64_t>(sequence) * 1'000, 1);
  return frame;
}

HistoryLimits Limits() {
  HistoryLimits limits;
  limits.otherwise.events_max = kEvents;
  return limits;
}

// One for all benches, since it takes a second to fill.
History& Filled() {
  static History history(Limits(), Epoch(1));
  for (uint64_t i = history.newest() + 1; i <= kEvents; ++i) {
    Frame* frame = MakeFrame(i);
    history.Append(*frame);
    frame->Release();
  }
  return history;
}

uint64_t ResidentBytes() {
  FILE* file = std::fopen("/proc/self/statm", "r");
  unsigned long size = 0, resident = 0;
  SLUICE_CHECK(file != nullptr && std::fscanf(file, "%lu %lu", &size, &resident) == 2);
  std::fclose(file);
  return uint64_t{resident} * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// First, while the allocator has nothing to reuse: 1,000,000 events, beside their own bytes.
void BM_HistoryMemory(benchmark::State& state) {
  for (auto _ : state) {
    const uint64_t before = ResidentBytes();
    const History& history = Filled();
    const uint64_t resident = ResidentBytes() - before;
    Reading everything(Subscription({"**"}));
    Chunk chunk;
    uint64_t bytes = 0;
    while (chunk.last < kEvents) {
      history.Read(everything, chunk.last, kEvents, &chunk);
      bytes += chunk.bytes.size();
    }
    SLUICE_CHECK(history.events() == kEvents);
    const double events_bytes = static_cast<double>(bytes);
    state.counters["bytes_an_event"] = events_bytes / kEvents;
    state.counters["held_a_byte"] = static_cast<double>(history.bytes_held()) / events_bytes;
    state.counters["resident_a_byte"] = static_cast<double>(resident) / events_bytes;
  }
}
BENCHMARK(BM_HistoryMemory)->Iterations(1)->Unit(benchmark::kMillisecond);

void ReadAll(benchmark::State& state, Subscription subscription, uint64_t after, uint64_t events) {
  const History& history = Filled();
  Reading reading(std::move(subscription));
  Chunk chunk;
  const auto read = [&] {
    uint64_t got = 0;
    chunk.last = after;
    do {
      history.Read(reading, chunk.last, kEvents, &chunk);
      got += chunk.marks.size();
    } while (!chunk.is_complete);
    return got;
  };
  SLUICE_CHECK(read() == events);
  for (auto _ : state) benchmark::DoNotOptimize(read());
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * events));
}
// 10,000 that lie scattered over the million.
void BM_HistoryReadOneTopic(benchmark::State& state) {
  ReadAll(state, Subscription({"hot"}), 0, 10'000);
}
void BM_HistoryReadNoTopic(benchmark::State& state) { ReadAll(state, Subscription(), 0, 10'000); }
// The newest 10,000.
void BM_HistoryReadEverything(benchmark::State& state) {
  ReadAll(state, Subscription({"**"}), kEvents - 10'000, 10'000);
}
void BM_HistoryReadPattern(benchmark::State& state) {
  ReadAll(state, Subscription({"orders/*"}), kEvents - 10'000, 9'800);
}
// One topic of a thousand by a pattern: the 10,000 are looked at for 10 of them.
void BM_HistoryReadRarePattern(benchmark::State& state) {
  ReadAll(state, Subscription({"*/7"}), kEvents - 10'000, 10);
}
BENCHMARK(BM_HistoryReadOneTopic)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_HistoryReadNoTopic)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_HistoryReadEverything)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_HistoryReadPattern)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_HistoryReadRarePattern)->Unit(benchmark::kMicrosecond);

// What the newest 30 of a pattern cost to find, and the gap that a pattern has not.
void BM_HistoryResolveNewest(benchmark::State& state) {
  const History& history = Filled();
  Reading reading(Subscription({"orders/*"}));
  for (auto _ : state) {
    Start start;
    while (!start.is_complete) {
      history.Resolve({.from = StreamStart::From::kNewest, .newest_count = 30}, reading, kEvents,
                      kEvents, &start);
    }
    SLUICE_CHECK(kEvents - start.after <= 32 && kEvents - start.after >= 30);
  }
}
BENCHMARK(BM_HistoryResolveNewest);

// A thousand readers that come back for the same 10,000 events.
void BM_HistoryThousandReadersAtOnePlace(benchmark::State& state) {
  Ring ring(16'384, 1 << 24, 1);
  SharedHistory history(Limits(), Epoch(1), ring, 0);
  for (uint64_t i = 0; i < 10'000; ++i) {
    Frame* frame = Frame::Encode({.data = std::string(99, 'x')}, Epoch(1), 4'096);
    uint64_t sequence = 0;
    SLUICE_CHECK(ring.TryPush({&frame, 1}, 1, &sequence) == PushResult::kPushed);
  }
  for (auto _ : state) {
    ChunkCache cache(history, 4 << 20);
    for (int reader = 0; reader < 1'000; ++reader) {
      uint64_t events = 0;
      for (uint64_t last = 0; last < 10'000;) {
        const auto chunk = cache.Read(Subscription(), last, 10'000);
        events += chunk->marks.size();
        last = chunk->last;
      }
      SLUICE_CHECK(events == 10'000);
    }
    SLUICE_CHECK(cache.misses() < 30);
  }
}
BENCHMARK(BM_HistoryThousandReadersAtOnePlace)->Unit(benchmark::kMicrosecond);

// Of the processor alone, so that another process's turn is not taken for ours.
int64_t ThreadNs() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

// Of GET /topics: a hundred thousand topics put in order from nothing, the longest part at once,
// and the part of a page that is read at once.
void BM_HistoryTopics(benchmark::State& state) {
  constexpr uint64_t kNames = 100'000;
  const auto name_of = [](uint64_t i) { return "users/" + std::to_string(kNames + i) + "/news"; };
  double longest = 0;
  double in_all = 0;
  double read = 0;
  for (auto _ : state) {
    History history(Limits(), Epoch(1));
    for (uint64_t i = 1; i <= kNames; ++i) {
      const std::string name = name_of(i * 7'919 % kNames);
      const std::string_view topic = name;
      Frame* frame = Frame::Encode({.data = "1", .topics = {&topic, 1}}, Epoch(1), 4'096);
      frame->Stamp(i, static_cast<int64_t>(i), 1);
      history.Append(*frame);
      frame->Release();
    }
    TopicOrderStep step;
    for (bool is_done = false; !is_done;) {
      const int64_t begin_ns = ThreadNs();
      is_done = history.PutTopicsInOrder(&step);
      const auto took = static_cast<double>(ThreadNs() - begin_ns) / 1e3;
      longest = std::max(longest, took);
      in_all += took;
    }
    std::vector<TopicFacts> facts;
    const int64_t begin_ns = ThreadNs();
    for (uint64_t i = 0; i < 500; ++i) {
      history.ReadTopics(name_of(i * 173), "", 128, 1, &facts);
      SLUICE_CHECK(facts.size() == 128 && facts[0].name == name_of(i * 173));
    }
    read += static_cast<double>(ThreadNs() - begin_ns) / 1e3 / 500;
  }
  const auto rounds = static_cast<double>(state.iterations());
  state.counters["order_us"] = in_all / rounds;
  state.counters["longest_us"] = longest;
  state.counters["read_us"] = read / rounds;
}
BENCHMARK(BM_HistoryTopics)->Iterations(3)->Unit(benchmark::kMillisecond);

// Last, since it moves the history on. A batch of frames is made, then appended: only that is
// timed.
void BM_HistoryAppendToFull(benchmark::State& state) {
  constexpr size_t kBatch = 10'000;
  History& history = Filled();
  std::vector<Frame*> frames;
  for (auto _ : state) {
    state.PauseTiming();
    for (Frame* frame : frames) frame->Release();
    frames.clear();
    for (uint64_t i = 1; i <= kBatch; ++i) frames.push_back(MakeFrame(history.newest() + i));
    state.ResumeTiming();
    for (const Frame* frame : frames) history.Append(*frame);
  }
  for (Frame* frame : frames) frame->Release();
  SLUICE_CHECK(history.events() == kEvents);
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBatch));
}
BENCHMARK(BM_HistoryAppendToFull)->Unit(benchmark::kMicrosecond);

// Each event is of a topic that is not known: 131,072 are, of which the oldest is forgotten.
void BM_HistoryAppendNewTopics(benchmark::State& state) {
  constexpr uint64_t kNames = 400'000;
  HistoryLimits limits;
  limits.otherwise.events_max = 65'536;
  limits.remembered_topics_max = 65'536;
  History history(limits, Epoch(1));
  std::vector<Frame*> frames;
  for (uint64_t i = 0; i < kNames; ++i) {
    const std::string name = "users/" + std::to_string(i * 7'919 % kNames) + "/news";
    const std::string_view topic = name;
    frames.push_back(Frame::Encode({.data = "1", .topics = {&topic, 1}}, Epoch(1), 4'096));
  }
  uint64_t sequence = 0;
  const auto append = [&] {
    Frame* frame = frames[sequence % kNames];
    ++sequence;
    frame->Stamp(sequence, static_cast<int64_t>(sequence), 1);
    history.Append(*frame);
  };
  while (sequence < 200'000) append();
  for (auto _ : state) append();
  SLUICE_CHECK(history.events() == 65'536 && history.store(0).topics().held() == 65'536);
  state.SetItemsProcessed(state.iterations());
  for (Frame* frame : frames) frame->Release();
}
BENCHMARK(BM_HistoryAppendNewTopics);

}  // namespace
}  // namespace sluice
