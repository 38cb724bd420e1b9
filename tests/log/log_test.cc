// Goal: whatever a cursor gathers and advances over is exactly the frames appended after it was
// attached, in order; segments are freed as soon as nobody needs them.
// Method: a model (one string of all bytes and the frame ends) beside the log, random steps from a
// seed, tiny segments so that every edge is met.
#include "log/log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

namespace sluice {
namespace {

Frame* MakeFrame(uint64_t sequence, size_t data_bytes, int64_t published_ns = 1) {
  const std::string data(data_bytes, static_cast<char>('a' + sequence % 26));
  Frame* frame = Frame::Encode({.data = data, .type = ""}, Epoch(1), 1 << 24);
  frame->Stamp(sequence, published_ns, 1);
  return frame;
}

// A log with memory of its own; `readers` is what a channel would say.
struct TestLog : LogMemory, Log {
  explicit TestLog(uint32_t segment_bytes)
      : LogMemory(segment_bytes), Log(static_cast<LogMemory&>(*this)) {}
  void Append(Frame* frame, size_t readers = 1'000'000) {
    HeldFrame* held = Hold(frame);
    Log::Append(held, readers);
    Release(held);
  }
};

std::string Gathered(const Log& log, const Cursor& cursor, uint64_t end, size_t bytes_max,
                     uint32_t iovecs_max = 64) {
  iovec iovecs[64];
  const uint32_t count = log.Gather(cursor, end, bytes_max, iovecs, iovecs_max);
  std::string bytes;
  for (uint32_t i = 0; i < count; ++i) {
    EXPECT_GT(iovecs[i].iov_len, 0u);
    bytes.append(static_cast<const char*>(iovecs[i].iov_base), iovecs[i].iov_len);
  }
  return bytes;
}

TEST(Log, ShowsACursorOnlyWhatComesAfterIt) {
  TestLog log(1024);
  log.Append(MakeFrame(1, 10));
  Cursor cursor = log.Attach();
  EXPECT_TRUE(log.IsAtTail(cursor));
  EXPECT_EQ(Gathered(log, cursor, UINT64_MAX, 1000), "");
  log.Append(MakeFrame(2, 3));
  EXPECT_EQ(Gathered(log, cursor, UINT64_MAX, 1000), "data: ccc\nid: 000000000001-2\n\n");
  log.Detach(cursor);
}

TEST(Log, JoinsSmallFramesInOnePiece) {
  TestLog log(64 * 1024);
  Cursor cursor = log.Attach();
  for (uint64_t i = 1; i <= 16; ++i) log.Append(MakeFrame(i, 100));
  iovec iovecs[8];
  EXPECT_EQ(log.Gather(cursor, UINT64_MAX, 1 << 20, iovecs, 8), 1u);
  EXPECT_EQ(log.Advance(&cursor, iovecs[0].iov_len), 16u);
  EXPECT_TRUE(log.IsAtTail(cursor));
  log.Detach(cursor);
}

TEST(Log, RefersToALargeFrameInsteadOfCopyingIt) {
  TestLog log(1024);
  Cursor cursor = log.Attach();
  Frame* large = MakeFrame(1, 5000);
  const char* bytes = large->bytes().data();
  log.Append(large);
  log.Append(MakeFrame(2, 10));
  iovec iovecs[8];
  ASSERT_EQ(log.Gather(cursor, UINT64_MAX, 1 << 20, iovecs, 8), 2u);
  EXPECT_EQ(iovecs[0].iov_base, bytes);
  EXPECT_EQ(log.Advance(&cursor, iovecs[0].iov_len + iovecs[1].iov_len), 2u);
  log.Detach(cursor);
}

TEST(Log, CutsAtAFramesEndIfOneFits) {
  TestLog log(4096);
  Cursor cursor = log.Attach();
  log.Append(MakeFrame(1, 100));
  log.Append(MakeFrame(2, 100));
  const size_t one = log.tail_offset() / 2;
  EXPECT_EQ(Gathered(log, cursor, UINT64_MAX, one + 50).size(), one);
  EXPECT_EQ(Gathered(log, cursor, UINT64_MAX, one - 1).size(), one - 1);
  log.Detach(cursor);
}

TEST(Log, KeepsOneSegmentWhenAllReadersAreAtTheTail) {
  TestLog log(1024);
  Cursor cursor = log.Attach();
  for (uint64_t i = 1; i <= 1000; ++i) {
    log.Append(MakeFrame(i, 100));
    log.Advance(&cursor, log.tail_offset() - log.Offset(cursor));
    EXPECT_LE(log.bytes_held(), 2048u + sizeof(Segment));
  }
  EXPECT_EQ(log.head(), cursor.segment);
  log.Detach(cursor);
}

TEST(Log, HoldsWhatTheSlowestReaderNeeds) {
  TestLog log(1024);
  const Cursor slow = log.Attach();
  Cursor fast = log.Attach();
  for (uint64_t i = 1; i <= 100; ++i) log.Append(MakeFrame(i, 100, static_cast<int64_t>(i)));
  log.Advance(&fast, log.tail_offset() - log.Offset(fast));
  EXPECT_GT(log.bytes_held(), 10'000u);
  EXPECT_EQ(log.PublishedNs(slow), 1);
  log.Detach(slow);
  EXPECT_LE(log.bytes_held(), 2048u + sizeof(Segment));
  log.Detach(fast);
}

TEST(Log, AnIdleLogOfOneReaderRefersToTheFrameAndThenHoldsNothing) {
  TestLog log(64 * 1024);
  Cursor cursor = log.Attach();
  EXPECT_EQ(log.bytes_held(), 0u);
  for (uint64_t i = 1; i <= 10; ++i) {
    Frame* frame = MakeFrame(i, 100);
    const char* bytes = frame->bytes().data();
    log.Append(frame, 1);
    iovec piece;
    ASSERT_EQ(log.Gather(cursor, UINT64_MAX, 1 << 20, &piece, 1), 1u);
    EXPECT_EQ(piece.iov_base, bytes);
    log.Rest(1);  // not yet read
    EXPECT_GT(log.bytes_held(), 0u);
    EXPECT_EQ(log.Advance(&cursor, piece.iov_len), 1u);
    log.Rest(1);
    EXPECT_EQ(log.bytes_held(), 0u);
    EXPECT_TRUE(log.IsAtTail(cursor));
    EXPECT_TRUE(log.IsAtFrameStart(cursor));
    EXPECT_EQ(log.Index(cursor), i);
  }
  log.Detach(cursor);
}

TEST(Log, RestsOnlyWhenAllAreAtTheTail) {
  TestLog log(64 * 1024);
  const Cursor slow = log.Attach();
  Cursor fast = log.Attach();
  log.Append(MakeFrame(1, 100), 2);
  log.Advance(&fast, log.tail_offset());
  log.Rest(1);
  log.Rest(2);
  EXPECT_EQ(Gathered(log, slow, UINT64_MAX, 1 << 20).size(), log.tail_offset());
  log.Detach(slow);
  log.Rest(1);
  EXPECT_EQ(log.bytes_held(), 0u);
  log.Detach(fast);
}

TEST(Log, BlocksGrowWithTheBacklog) {
  TestLog log(64 * 1024);
  Cursor cursor = log.Attach();
  uint32_t largest = 0;
  for (uint64_t i = 1; i <= 1000; ++i) {
    log.Append(MakeFrame(i, 100), 1);
    for (const Segment* at = log.head(); at != nullptr; at = at->next) {
      largest = std::max(largest, at->block_bytes);
    }
    if (i == 3) {
      EXPECT_EQ(largest, Log::kBlockBytesMin);
    }
    // Memory follows what is there, within a small factor.
    EXPECT_LE(log.bytes_held(), 4 * (log.tail_offset() + Log::kBlockBytesMin));
  }
  EXPECT_EQ(largest, 64u * 1024);
  iovec iovecs[16];
  EXPECT_LE(log.Gather(cursor, UINT64_MAX, 1 << 20, iovecs, 16), 12u);
  EXPECT_EQ(log.Advance(&cursor, log.tail_offset()), 1000u);
  log.Rest(1);
  EXPECT_EQ(log.bytes_held(), 0u);
  log.Detach(cursor);
}

TEST(Log, AFrameInManyLogsIsCountedOnce) {
  LogMemory memory(64 * 1024);
  std::vector<std::unique_ptr<Log>> logs;
  std::vector<Cursor> cursors;
  for (int i = 0; i < 100; ++i) {
    logs.push_back(std::make_unique<Log>(memory));
    cursors.push_back(logs.back()->Attach());
  }
  Frame* frame = MakeFrame(1, 10'000);
  HeldFrame* held = memory.Hold(frame);
  for (const auto& log : logs) log->Append(held, 1);
  memory.Release(held);
  EXPECT_LT(memory.bytes_held(), 30'000u);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(Gathered(*logs[i], cursors[i], UINT64_MAX, 1 << 20).size(), logs[i]->tail_offset());
    logs[i]->Detach(cursors[i]);
    logs[i]->Rest(0);
  }
  EXPECT_EQ(memory.bytes_held(), 0u);
}

TEST(Log, PropertyCursorsReadWhatTheModelHolds) {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
    TestLog log(256 + below(1024));
    std::string bytes;           // all that was ever appended
    std::vector<uint64_t> ends;  // of each frame
    struct Reader {
      Cursor cursor;
      uint64_t offset;
      uint64_t index;
    };
    std::vector<Reader> readers;
    uint64_t sequence = 0;
    for (int step = 0; step < 2000; ++step) {
      if (std::all_of(readers.begin(), readers.end(),
                      [&](const Reader& reader) { return reader.offset == bytes.size(); })) {
        log.Rest(readers.size());
      }
      switch (below(6)) {
        case 0: {
          Frame* frame = MakeFrame(++sequence, below(below(8) == 0 ? 3000 : 150));
          bytes += frame->bytes();
          ends.push_back(bytes.size());
          log.Append(frame, readers.size() * (1 + below(2) * 100));
          break;
        }
        case 1:
          if (readers.size() < 8) readers.push_back({log.Attach(), bytes.size(), ends.size()});
          break;
        case 2:
          if (!readers.empty() && below(4) == 0) {
            const size_t gone = below(static_cast<uint32_t>(readers.size()));
            log.Detach(readers[gone].cursor);
            readers.erase(readers.begin() + static_cast<ptrdiff_t>(gone));
          }
          break;
        default: {
          if (readers.empty()) break;
          Reader& reader = readers[below(static_cast<uint32_t>(readers.size()))];
          const uint64_t end =
              below(3) == 0 && !ends.empty() ? ends[random() % ends.size()] : UINT64_MAX;
          const size_t max = 1 + below(2000);
          const std::string got = Gathered(log, reader.cursor, end, max, 1 + below(5));
          ASSERT_LE(got.size(), max);
          ASSERT_EQ(got, bytes.substr(reader.offset, got.size()));
          if (got.empty()) {
            ASSERT_TRUE(reader.offset == bytes.size() || end <= reader.offset);
            break;
          }
          ASSERT_LE(reader.offset + got.size(), std::max<uint64_t>(end, reader.offset));
          const size_t sent = 1 + below(static_cast<uint32_t>(got.size()));
          const uint64_t finished = log.Advance(&reader.cursor, sent);
          reader.offset += sent;
          const uint64_t index = static_cast<uint64_t>(
              std::upper_bound(ends.begin(), ends.end(), reader.offset) - ends.begin());
          ASSERT_EQ(finished, index - reader.index);
          reader.index = index;
          ASSERT_EQ(log.Offset(reader.cursor), reader.offset);
          ASSERT_EQ(log.Index(reader.cursor), reader.index);
          ASSERT_EQ(log.IsAtTail(reader.cursor), reader.offset == bytes.size());
          const uint64_t start = index == 0 ? 0 : ends[index - 1];
          ASSERT_EQ(log.IsAtFrameStart(reader.cursor), reader.offset == start);
        }
      }
    }
    for (const Reader& reader : readers) log.Detach(reader.cursor);
    ASSERT_EQ(log.head()->next, nullptr);
    log.Rest(0);
    ASSERT_EQ(log.bytes_held(), 0u);
  }
}

}  // namespace
}  // namespace sluice
