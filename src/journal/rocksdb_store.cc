#include "journal/rocksdb_store.h"

#include <fcntl.h>
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/table.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <shared_mutex>

#include "base/check.h"

#if defined(__SANITIZE_THREAD__)
// Debian's RocksDB is not built with the sanitizer, which therefore sees its memory, but not how
// its threads hand it to one another.
extern "C" const char* __tsan_default_suppressions() { return "race:rocksdb::\n"; }
#endif

namespace sluice {
namespace {

constexpr size_t kWriteBufferBytes = 16 << 20;
constexpr int kWriteBuffers = 4;
constexpr size_t kCacheBytes = 8 << 20;
constexpr uint64_t kWalBytesMax = 64 << 20;
constexpr int kOpenFilesMax = 256;
constexpr char kBlocksFamily[] = "blocks";

// RocksDB says what it cut from a torn log in its own log only, so that is listened to.
class TornListener : public rocksdb::Logger {
 public:
  TornListener() : Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}

  using Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    char line[512];
    std::vsnprintf(line, sizeof line, format, arguments);
    const char* cut = std::strstr(line, "dropping ");
    if (cut == nullptr) return;
    const std::lock_guard lock(mutex_);
    if (torn_.empty()) torn_ = cut;
  }
  std::string torn() const {
    const std::lock_guard lock(mutex_);
    return torn_;
  }

 private:
  mutable std::mutex mutex_;
  std::string torn_;  // "dropping 57 bytes; Corruption: error reading trailing data"
};

Status Told(const rocksdb::Status& status) {
  if (status.ok()) return Status::Ok();
  if (status.IsNoSpace()) return Status::Unavailable(std::strerror(ENOSPC));
  return Status::Unavailable(status.ToString());
}

std::string Key(uint64_t number) {
  std::string key(sizeof number, '\0');
  for (size_t i = 0; i < key.size(); ++i) {
    key[i] = static_cast<char>(number >> (8 * (key.size() - 1 - i)));
  }
  return key;
}

uint64_t Number(rocksdb::Slice key) {
  uint64_t number = 0;
  for (size_t i = 0; i < key.size(); ++i) number = number << 8 | static_cast<uint8_t>(key[i]);
  return number;
}

// Spans and state share a family: a letter tells them apart.
std::string Key(StoreTable table, uint64_t number) {
  if (table == StoreTable::kBlocks) return Key(number);
  return (table == StoreTable::kSpans ? "s" : "t") + Key(number);
}

rocksdb::ColumnFamilyOptions FamilyOptions(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions options;
  options.write_buffer_size = kWriteBufferBytes;
  options.max_write_buffer_number = kWriteBuffers;
  options.compression = rocksdb::kNoCompression;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.block_size = 32 << 10;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

class RocksDbStore : public JournalStore {
 public:
  RocksDbStore(std::string directory, StoreAccess access)
      : directory_(std::move(directory)),
        access_(access),
        cache_(rocksdb::NewLRUCache(kCacheBytes)) {}
  ~RocksDbStore() override { CloseDb(); }

  Status Open() {
    listener_ = std::make_shared<TornListener>();
    rocksdb::DBOptions options;
    options.create_if_missing = true;
    options.create_missing_column_families = true;
    options.info_log = listener_;
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
    options.max_total_wal_size = kWalBytesMax;
    options.max_background_jobs = 2;
    options.max_open_files = kOpenFilesMax;
    options.max_bgerror_resume_count = 0;
    options.stats_dump_period_sec = 0;
    options.stats_persist_period_sec = 0;
    const rocksdb::ColumnFamilyOptions family = FamilyOptions(cache_);
    const std::vector<rocksdb::ColumnFamilyDescriptor> families{
        {rocksdb::kDefaultColumnFamilyName, family}, {kBlocksFamily, family}};
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    const rocksdb::Status status =
        access_ == StoreAccess::kReadAndWrite
            ? rocksdb::DB::Open(options, directory_, families, &handles, &db)
            : rocksdb::DB::OpenForReadOnly(options, directory_, families, &handles, &db);
    if (!status.ok()) return Told(status);
    db_.reset(db);
    for (size_t i = 0; i < handles.size(); ++i) families_[i].reset(handles[i]);
    return Status::Ok();
  }

  std::string torn() const override { return listener_->torn(); }

  Status Commit(std::span<const StoreWrite> writes, bool sync) override {
    if (db_ == nullptr) return Status::Unavailable("the store is closed");
    batch_.Clear();
    for (const StoreWrite& write : writes) {
      rocksdb::ColumnFamilyHandle* family = Family(write.table);
      const std::string key = Key(write.table, write.key);
      const rocksdb::Status status =
          write.bytes.empty()
              ? batch_.Delete(family, key)
              : batch_.Put(family, key, rocksdb::Slice(write.bytes.data(), write.bytes.size()));
      if (!status.ok()) return Told(status);
    }
    rocksdb::WriteOptions options;
    options.sync = sync;
    return Told(db_->Write(options, &batch_));
  }

  Status Sync() override {
    if (db_ == nullptr) return Status::Unavailable("the store is closed");
    return Told(db_->SyncWAL());
  }

  Status Recover() override {
    const std::unique_lock lock(mutex_);
    CloseDb();
    return Open();
  }

  Status Read(StoreTable table, uint64_t from, uint64_t through, size_t bytes_max,
              std::vector<StoreEntry>* entries) override {
    entries->clear();
    const std::shared_lock lock(mutex_);
    if (db_ == nullptr) return Status::Unavailable("the store is closed");
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    const std::string low = Key(table, 0);
    const std::string high = Key(table, through);
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options, Family(table)));
    at->SeekForPrev(Key(table, from));
    if (at->status().ok() && (!at->Valid() || at->key().compare(low) < 0)) at->Seek(low);
    size_t bytes = 0;
    for (; at->Valid() && at->key().compare(high) <= 0 && bytes < bytes_max; at->Next()) {
      rocksdb::Slice key = at->key();
      if (table != StoreTable::kBlocks) key.remove_prefix(1);
      entries->push_back({Number(key), at->value().ToString()});
      bytes += entries->back().bytes.size();
    }
    return Told(at->status());
  }

  Status Drop(uint64_t first) override {
    if (db_ == nullptr) return Status::Unavailable("the store is closed");
    const std::string from = Key(0);
    const std::string to = Key(first);
    const rocksdb::Slice begin(from);
    const rocksdb::Slice end(to);
    const rocksdb::RangePtr range(&begin, &end);
    return Told(rocksdb::DeleteFilesInRanges(db_.get(), Family(StoreTable::kBlocks), &range, 1,
                                             /*include_end=*/false));
  }

  uint64_t DiskBytes() const override {
    uint64_t bytes = 0;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
      struct stat facts {};
      if (stat(entry.path().c_str(), &facts) == 0) {
        bytes += static_cast<uint64_t>(facts.st_blocks) * 512;
      }
    }
    return bytes;
  }

 private:
  rocksdb::ColumnFamilyHandle* Family(StoreTable table) const {
    return families_[table == StoreTable::kBlocks ? 1 : 0].get();
  }

  void CloseDb() {
    // Handles before the database that they belong to.
    for (auto& family : families_) family.reset();
    db_.reset();
  }

  // Constant after construction.
  const std::string directory_;
  const StoreAccess access_;
  const std::shared_ptr<rocksdb::Cache> cache_;

  std::shared_ptr<TornListener> listener_;
  // Readers hold it shared; Recover, which takes the database away from them, alone.
  std::shared_mutex mutex_;
  std::unique_ptr<rocksdb::DB> db_;
  std::unique_ptr<rocksdb::ColumnFamilyHandle> families_[2];
  rocksdb::WriteBatch batch_;  // the journal's thread's
};

// A new folder is there after a loss of power only once the one that it lies in is synced.
Status MakeFolder(const std::string& directory) {
  if (mkdir(directory.c_str(), 0700) != 0) {
    return errno == EEXIST ? Status::Ok() : Status::Unavailable(std::strerror(errno));
  }
  std::filesystem::path made = std::filesystem::absolute(directory);
  if (!made.has_filename()) made = made.parent_path();  // it was given with a slash at its end
  const int fd = open(made.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool is_synced = fd >= 0 && fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) close(fd);
  return is_synced ? Status::Ok() : Status::Unavailable(std::strerror(error));
}

// The open's most common failures, in words that say what to do.
Status Explain(const std::string& directory, const Status& status) {
  const std::string& what = status.message();
  if (what.find("lock") != std::string::npos && what.find("LOCK") != std::string::npos) {
    return Status::Unavailable("journal " + directory +
                               ": another process has it open; one gateway, one directory");
  }
  if (what.find(std::strerror(ENOSPC)) != std::string::npos) {
    return Status::Unavailable("journal " + directory + ": " + what +
                               "; make room on its disk, or lower journal.bytes_max once it runs");
  }
  if (!std::filesystem::exists(directory)) {
    return Status::Unavailable("journal " + directory + ": " + what +
                               "; make the directory that it is to lie in");
  }
  return Status::Unavailable("journal " + directory + ": " + what);
}

}  // namespace

Status OpenRocksDbStore(const std::string& directory, StoreAccess access,
                        std::unique_ptr<JournalStore>* store) {
  if (access == StoreAccess::kReadAndWrite) {
    if (Status made = MakeFolder(directory); !made.ok()) return Explain(directory, made);
  }
  if (access == StoreAccess::kReadOnly && !std::filesystem::exists(directory + "/CURRENT")) {
    return Status::InvalidArgument("journal " + directory + ": there is no journal");
  }
  auto opened = std::make_unique<RocksDbStore>(directory, access);
  if (Status status = opened->Open(); !status.ok()) return Explain(directory, status);
  *store = std::move(opened);
  return Status::Ok();
}

}  // namespace sluice
