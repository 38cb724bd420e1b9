// Goal: what the real store does when its disk is full, when its end was torn, when a file is
// damaged, and how it gives space back. Method: a small tmpfs (skipped where mounting is not
// allowed), and files that are cut and changed as a lost power or a bad disk would.
#include "journal/rocksdb_store.h"

#include <gtest/gtest.h>
#include <sys/mount.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "journal/journal_fixture.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// The newest file of a kind that is not empty.
fs::path Newest(const std::string& folder, const std::string& ending) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ending && entry.file_size() != 0) found.push_back(entry.path());
  }
  if (found.empty()) return {};
  return *std::max_element(found.begin(), found.end());
}

class SmallDisk {
 public:
  explicit SmallDisk(const std::string& size) {
    const std::string options = "size=" + size;
    is_mounted_ = mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, options.c_str()) == 0;
    if (!is_mounted_) error_ = std::strerror(errno);
  }
  ~SmallDisk() {
    if (is_mounted_) umount2(folder_.path().c_str(), MNT_DETACH);
  }
  bool is_mounted() const { return is_mounted_; }
  const std::string& error() const { return error_; }
  std::string path() const { return folder_.path(); }

 private:
  ScratchFolder folder_;
  bool is_mounted_ = false;
  std::string error_;
};

TEST(RocksDbStore, OnAFullDiskFailsWithTheKernelsWordsAndGoesOnWhenThereIsSpace) {
  const SmallDisk disk("16m");
  if (!disk.is_mounted()) GTEST_SKIP() << "mounting a tmpfs: " << disk.error();
  const std::string ballast = disk.path() + "/ballast";
  std::ofstream(ballast) << std::string(10 << 20, 'x');
  JournalUnderTest test(disk.path() + "/journal");
  test.options.retry_ns = kNsPerMs;
  test.options.queue_bytes_max = 32 << 20;
  test.Open();
  const std::string large(100'000, 'x');
  for (int i = 0; i < 100; ++i) {
    test.journal->Offer(*MakeFrame(test.next, {.data = large}));
    ++test.next;
  }
  test.Await([&] { return test.journal->Statistics(MonotonicNs()).failures > 2; });
  EXPECT_EQ(test.journal->Statistics(MonotonicNs()).state, "failed: No space left on device");
  const uint64_t durable = test.journal->durable_sequence();
  EXPECT_LT(durable, 100u);
  fs::remove(ballast);
  test.AwaitDurable();
  EXPECT_EQ(test.journal->Statistics(MonotonicNs()).state, "ok");
  test.Close();
  test.Open();
  EXPECT_EQ(test.recovery.events, 100u);
  EXPECT_EQ(test.recovery.damaged, 0u);
  EXPECT_EQ(test.Read().size(), 100u);
}

// A folder as a kill leaves it: copied while the journal has it open.
void CopyFolder(const std::string& from, const std::string& to) {
  fs::copy(from, to, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
}

TEST(RocksDbStore, CutsATornEndAndTellsIt) {
  const ScratchFolder folder;
  JournalUnderTest original(folder.path() + "/original");
  original.Open();
  for (int i = 0; i < 50; ++i) {
    original.Offer(10);
    original.AwaitDurable();
  }
  const uint64_t ceiling = original.journal->ceiling();
  std::mt19937 random(3);
  int torn = 0;
  for (int round = 0; round < 20; ++round) {
    const std::string copy = folder.path() + "/copy" + std::to_string(round);
    CopyFolder(folder.path() + "/original", copy);
    const fs::path log = Newest(copy, ".log");
    ASSERT_FALSE(log.empty());
    // RocksDB may have given the file more room than it has bytes; cut within the bytes.
    const uint64_t cut = round == 0 ? 0 : 1 + random() % 3000;
    fs::resize_file(log, fs::file_size(log) - cut);
    JournalUnderTest test(copy);
    test.Open();
    EXPECT_EQ(test.recovery.next_sequence, ceiling);
    EXPECT_LE(test.recovery.events, 500u);
    if (cut == 0) {
      EXPECT_EQ(test.recovery.events, 500u);
      EXPECT_EQ(test.recovery.torn, "");
    } else {
      EXPECT_LT(test.recovery.events, 500u);
      torn += !test.recovery.torn.empty();
    }
    // The rest is whole, and the missing numbers are told.
    std::vector<ReadBack> records = test.Read();
    ASSERT_EQ(records.size(), test.recovery.events + 1);
    EXPECT_EQ(records.back().reason, HoleReason::kRestart);
    EXPECT_EQ(records.back().first, test.recovery.events + 1);
    EXPECT_EQ(records.back().last, ceiling - 1);
    records.pop_back();
    test.recovery.epoch = original.recovery.epoch;
    test.ExpectEvents(records, 1, test.recovery.events);
  }
  EXPECT_GE(torn, 15) << "a cut between two groups leaves nothing torn, any other does";
}

TEST(RocksDbStore, SaysThatAFileIsDamaged) {
  const ScratchFolder folder;
  JournalUnderTest test(folder.path());
  test.Open();
  test.Offer(20'000);
  test.AwaitDurable();
  test.Close();
  test.Open();  // what was in the log is in a table now
  test.Close();
  const fs::path table = Newest(folder.path(), ".sst");
  ASSERT_FALSE(table.empty());
  fs::path largest = table;
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    if (entry.path().extension() == ".sst" && entry.file_size() > fs::file_size(largest)) {
      largest = entry.path();
    }
  }
  {
    std::fstream file(largest, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(fs::file_size(largest) / 2));
    file.write("damage", 6);
  }
  JournalRecovery recovery;
  std::unique_ptr<Journal> journal;
  Status status = Journal::Open(test.options, &recovery, &journal);
  if (status.ok()) {
    uint64_t looked_at = 0;
    status = journal->ForEach(
        0, 20'000, [](const JournalRecord&) { return true; }, &looked_at);
    EXPECT_LT(looked_at, 20'000u);
  }
  EXPECT_FALSE(status.ok());
}

TEST(RocksDbStore, GivesSpaceBackThatRetentionLetGoOf) {
  const ScratchFolder folder;
  JournalUnderTest test(folder.path());
  test.options.retention.bytes_max = 16 << 20;
  test.options.syncs_each_group = false;
  test.options.queue_bytes_max = 16 << 20;
  test.Open();
  const std::string large(10'000, 'x');
  for (int i = 0; i < 300; ++i) {
    for (int j = 0; j < 100; ++j) {
      test.journal->Offer(*MakeFrame(test.next, {.data = large}));
      ++test.next;
    }
    test.Await([&] { return test.journal->written_sequence() == test.next - 1; });
  }
  test.Close();
  test.Open();  // so that its thread has done what the last group left to do
  EXPECT_LE(test.recovery.bytes, 16u << 20);
  EXPECT_EQ(test.Read().size(), test.recovery.events);
  test.Close();
  // 300 MB were written; what is held, its log and some tables that wait are left.
  uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder.path())) bytes += entry.file_size();
  EXPECT_LT(bytes, 240u << 20);
}

TEST(RocksDbStore, IsReadWhileItIsWritten) {
  const ScratchFolder folder;
  JournalUnderTest test(folder.path());
  test.Open();
  test.Offer(100);
  test.AwaitDurable();
  std::unique_ptr<JournalStore> reader;
  ASSERT_TRUE(OpenRocksDbStore(folder.path(), StoreAccess::kReadOnly, &reader).ok());
  std::vector<StoreEntry> entries;
  ASSERT_TRUE(reader->Read(StoreTable::kBlocks, 0, UINT64_MAX, SIZE_MAX, &entries).ok());
  EXPECT_FALSE(entries.empty());
  EXPECT_FALSE(OpenRocksDbStore(folder.path() + "/none", StoreAccess::kReadOnly, &reader).ok());
}

}  // namespace
}  // namespace sluice
