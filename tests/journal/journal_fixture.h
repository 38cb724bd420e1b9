// What the journal's tests share: events whose data proves itself, folders that go away, and a way
// to wait for the journal's thread without sleeping.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/scratch_folder.h"
#include "event/frame.h"
#include "journal/journal.h"
#include "journal/simulated_store.h"

namespace sluice {

using test::ScratchFolder;

struct FrameRelease {
  void operator()(Frame* frame) const { frame->Release(); }
};
using OwnedFrame = std::unique_ptr<Frame, FrameRelease>;

inline OwnedFrame MakeFrame(uint64_t sequence, const Event& event, uint64_t epoch = 0xabc) {
  OwnedFrame frame(Frame::Encode(event, Epoch(epoch), 16 << 20));
  EXPECT_NE(frame, nullptr);
  frame->Stamp(sequence, MonotonicNs(), 1);
  return frame;
}

// Data that tells its sequence, of a length that the sequence decides.
inline std::string DataOf(uint64_t sequence) {
  return "event " + std::to_string(sequence) + " " + std::string(sequence * 7 % 90, 'x');
}

inline OwnedFrame MakeFrame(uint64_t sequence, uint64_t epoch = 0xabc) {
  const std::string data = DataOf(sequence);
  return MakeFrame(sequence, {.data = data}, epoch);
}

inline std::string WireOf(uint64_t sequence, uint64_t epoch = 0xabc) {
  return "data: " + DataOf(sequence) + "\nid: " + Epoch(epoch).Id(sequence) + "\n\n";
}

// A record as it was read, its views copied.
struct ReadBack {
  RecordKind kind;
  HoleReason reason;
  uint64_t first;
  uint64_t last;
  uint64_t events;
  std::string wire;
};

// A journal under test, on a simulated disk or on RocksDB, that can be closed, killed and opened.
class JournalUnderTest {
 public:
  JournalUnderTest() = default;
  explicit JournalUnderTest(SimulatedDisk* disk) : disk_(disk) {
    options.open_store = [disk](std::unique_ptr<JournalStore>* store) {
      *store = disk->OpenStore();
      return Status::Ok();
    };
  }
  explicit JournalUnderTest(const std::string& directory) { options.directory = directory; }

  void Open() {
    options.on_progress = [this] {
      const std::lock_guard lock(mutex_);
      changed_.notify_all();
    };
    const Status status = Journal::Open(options, &recovery, &journal);
    ASSERT_TRUE(status.ok()) << status.message();
    next = recovery.next_sequence;
  }
  // Offers the next `count` events.
  void Offer(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      journal->Offer(*MakeFrame(next, recovery.epoch));
      ++next;
    }
  }
  void Close() {
    journal->Close(next - 1);
    journal.reset();
  }
  // Of a simulated disk: the process, or the host, is gone.
  void Kill() {
    disk_->Kill();
    journal.reset();
  }
  void PowerOff(size_t kept) {
    disk_->PowerOff(kept);
    journal.reset();
  }
  // Looks again after each report of the journal's thread; the limit only ends a test that fails.
  void Await(const std::function<bool()>& fact) {
    std::unique_lock lock(mutex_);
    for (int turn = 0; turn < 600 && !fact(); ++turn) {
      changed_.wait_for(lock, std::chrono::milliseconds(100));
    }
    ASSERT_TRUE(fact());
  }
  void AwaitDurable() {
    Await([this] { return journal->durable_sequence() == next - 1; });
  }

  std::vector<ReadBack> Read(uint64_t after = 0, uint64_t through = UINT64_MAX) {
    std::vector<ReadBack> records;
    uint64_t looked_at = 0;
    const Status status = journal->ForEach(
        after, through,
        [&](const JournalRecord& record) {
          records.push_back({record.kind, record.reason, record.first, record.last, record.events,
                             std::string(record.wire)});
          return true;
        },
        &looked_at);
    EXPECT_TRUE(status.ok()) << status.message();
    return records;
  }
  // Each event of these sequences, and nothing else.
  void ExpectEvents(const std::vector<ReadBack>& records, uint64_t first, uint64_t last) {
    ASSERT_EQ(records.size(), last + 1 - first);
    for (uint64_t sequence = first; sequence <= last; ++sequence) {
      const ReadBack& record = records[sequence - first];
      ASSERT_EQ(record.kind, RecordKind::kEvent) << sequence;
      ASSERT_EQ(record.first, sequence);
      ASSERT_EQ(record.wire, WireOf(sequence, recovery.epoch));
    }
  }

  JournalOptions options;
  JournalRecovery recovery;
  std::unique_ptr<Journal> journal;
  uint64_t next = 1;

 private:
  SimulatedDisk* disk_ = nullptr;
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace sluice
