// What many channels cost: a publish to one of 100,000 topics beside one of 100, one past many
// patterns, an event for 100,000 channels and its longest turn, and what a channel with its reader
// weighs. User space alone: the engine takes every byte and does nothing else.
//
// Verified: exactly the readers that are to get an event are offered its bytes.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <ctime>

#include "delivery_lab.h"

namespace sluice {
namespace {

using bench::Lab;

std::string TopicName(uint32_t i) { return "orders/" + std::to_string(1'000'000 + i); }

uint64_t NextRandom(uint64_t* random) {
  *random = *random * 6364136223846793005 + 1442695040888963407;
  return *random >> 33;
}

// A publish to a random topic of so many, a reader each. The names stand ready, so that only the
// gateway's own memory grows; the event's encoding is a part of it.
void BM_PublishToOneTopic(benchmark::State& state) {
  const uint32_t topics = static_cast<uint32_t>(state.range(0));
  auto lab = std::make_unique<Lab>();
  for (uint32_t i = 0; i < topics; ++i) lab->Attach({TopicName(i)});
  lab->Begin();
  uint64_t random = 1;
  for (auto _ : state) {
    const std::string name = TopicName(static_cast<uint32_t>(NextRandom(&random) % topics));
    lab->Publish({{name}});
    lab->Sweep();
  }
  SLUICE_CHECK(lab->engine.bytes_taken == lab->frame_bytes);
  SLUICE_CHECK(lab->counters.deliveries.value() == lab->sequence);
}
BENCHMARK(BM_PublishToOneTopic)->ArgName("topics")->Arg(100)->Arg(10'000)->Arg(100'000);

// What a shard does for a page of GET /topics, of so many topics with a stream each: from anywhere.
void BM_ReadTopics(benchmark::State& state) {
  const uint32_t topics = static_cast<uint32_t>(state.range(0));
  auto lab = std::make_unique<Lab>();
  for (uint32_t i = 0; i < topics; ++i) lab->Attach({TopicName(i * 7'919 % topics)});
  lab->Begin();
  std::vector<SubscribedTopic> page;
  uint64_t random = 1;
  for (auto _ : state) {
    page.clear();
    const auto from = static_cast<uint32_t>(NextRandom(&random) % (topics - 1'000));
    lab->delivery.ReadTopics(TopicName(from), "orders/", 1'000, &page);
    SLUICE_CHECK(page.size() == 1'000 && page.front().name == TopicName(from));
  }
}
BENCHMARK(BM_ReadTopics)
    ->ArgName("topics")
    ->Arg(2'000)
    ->Arg(100'000)
    ->Unit(benchmark::kMicrosecond);

// So many patterns, a reader each; the event's name is met by three of them.
void BM_PublishPastPatterns(benchmark::State& state) {
  const uint32_t patterns = static_cast<uint32_t>(state.range(0));
  auto lab = std::make_unique<Lab>();
  lab->Attach({"shop/*/orders/42"});
  lab->Attach({"shop/**"});
  lab->Attach({"*/7/orders/42"});
  for (uint32_t i = 3; i < patterns; ++i) {
    const std::string n = std::to_string(i);
    lab->Attach({i % 3 == 0   ? "shop/" + n + "/**"
                 : i % 3 == 1 ? "shop/*/orders/" + n
                              : "place/" + n + "/*"});
  }
  lab->Begin();
  for (auto _ : state) {
    lab->Publish({{"shop/7/orders/42"}});
    lab->Sweep();
  }
  SLUICE_CHECK(lab->engine.bytes_taken == lab->frame_bytes * 3);
}
BENCHMARK(BM_PublishPastPatterns)->ArgName("patterns")->Arg(3)->Arg(1'000)->Arg(100'000);

// Of the processor alone, so that another process's turn is not taken for ours.
int64_t ThreadNs() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

// One event for so many channels: all of it, and its longest turn of the loop.
void BM_BroadcastToChannels(benchmark::State& state) {
  const uint32_t channels = static_cast<uint32_t>(state.range(0));
  auto lab = std::make_unique<Lab>();
  for (uint32_t i = 0; i < channels; ++i) lab->Attach({"all", TopicName(i)});
  lab->Begin();
  int64_t longest_ns = 0;
  uint64_t turns = 0;
  for (auto _ : state) {
    int64_t from_ns = ThreadNs();
    lab->Publish({{"all"}});
    while (true) {
      ++turns;
      const bool has_more = lab->delivery.Sweep(1);
      const int64_t to_ns = ThreadNs();
      longest_ns = std::max(longest_ns, to_ns - from_ns);
      if (!has_more) break;
      from_ns = to_ns;
      lab->delivery.ContinueAppend();
    }
  }
  SLUICE_CHECK(lab->engine.bytes_taken == lab->frame_bytes * channels);
  state.counters["turn_max_us"] = static_cast<double>(longest_ns) / 1000;
  state.counters["turns"] =
      benchmark::Counter(static_cast<double>(turns), benchmark::Counter::kAvgIterations);
  state.SetItemsProcessed(static_cast<int64_t>(lab->sequence * channels));
}
BENCHMARK(BM_BroadcastToChannels)->ArgName("channels")->Arg(1'000)->Arg(100'000);

uint64_t ResidentBytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  SLUICE_CHECK(file != nullptr);
  unsigned long long size = 0, resident = 0;
  SLUICE_CHECK(std::fscanf(file, "%llu %llu", &size, &resident) == 2);
  std::fclose(file);
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// What a channel with one reader adds to the process, after an event each; the connection's own
// record and the engine's are not in it.
void BM_MemoryOfChannels(benchmark::State& state) {
  const uint32_t channels = static_cast<uint32_t>(state.range(0));
  for (auto _ : state) {
    const uint64_t before = ResidentBytes();
    auto lab = std::make_unique<Lab>();
    for (uint32_t i = 0; i < channels; ++i) {
      const std::string name = TopicName(i);
      lab->Attach({name});
      lab->Publish({{name}});
      lab->Sweep();
    }
    state.counters["bytes_a_channel"] =
        static_cast<double>(ResidentBytes() - before) / static_cast<double>(channels);
    SLUICE_CHECK(lab->counters.deliveries.value() == channels);
  }
}
BENCHMARK(BM_MemoryOfChannels)->ArgName("channels")->Arg(100'000)->Iterations(1);

}  // namespace
}  // namespace sluice
