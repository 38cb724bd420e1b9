// What two embedded stores cost as a journal, beside the device's own limit.
//
//   stores groups  lmdb|rocksdb|floor DIR   group commits of 1 to 1,000 events, with and without
//   sync stores fill    lmdb|rocksdb DIR EVENTS  fills DIR in groups of 1,000, without sync stores
//   open    lmdb|rocksdb DIR         opens it, reads the first and the last key stores trim
//   lmdb|rocksdb DIR EVENTS  deletes that many from the head stores full    lmdb|rocksdb DIR writes
//   until the disk is full, frees a tenth, goes on
//
// Goal: the figures that docs/performance.md chooses the store by. `floor` appends the same bytes
// to one file and calls fdatasync a group: what no store can beat on this device. An event is a key
// of eight bytes in order and 131 bytes. Each group of a `groups` run is timed for two seconds.
#include <fcntl.h>
#include <lmdb.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

namespace {

constexpr size_t kEventBytes = 131;
constexpr double kSeconds = 2;
const std::string kEvent(kEventBytes, 'x');

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "stores: %s\n", what.c_str());
  std::exit(1);
}

uint64_t DiskBytes(const std::string& folder) {
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    struct stat facts {};
    if (stat(entry.path().c_str(), &facts) == 0) bytes += uint64_t(facts.st_blocks) * 512;
  }
  return bytes;
}

void PrintMemory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon") || line.starts_with("RssFile"))
      std::printf("  %s", line.c_str());
  }
  std::printf("\n");
}

struct Key {
  explicit Key(uint64_t n) {
    for (int i = 0; i < 8; ++i) bytes[i] = char(n >> (56 - 8 * i));
  }
  char bytes[8];
};
uint64_t Number(const void* bytes) {
  uint64_t n;
  std::memcpy(&n, bytes, 8);
  return __builtin_bswap64(n);
}

class Store {
 public:
  virtual ~Store() = default;
  // Empty, or what went wrong.
  virtual std::string Append(uint64_t first, uint64_t count, bool sync) = 0;
  virtual std::string Trim(uint64_t first, uint64_t count) = 0;
  virtual std::string Ends(uint64_t* first, uint64_t* last) = 0;
};

class Floor : public Store {
 public:
  explicit Floor(const std::string& folder) {
    fd_ = open((folder + "/floor").c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    if (fd_ < 0) Die("floor");
  }
  ~Floor() override { close(fd_); }
  std::string Append(uint64_t, uint64_t count, bool sync) override {
    bytes_.resize(count * (kEventBytes + 8), 'x');
    if (write(fd_, bytes_.data(), bytes_.size()) != ssize_t(bytes_.size())) return "write";
    return sync && fdatasync(fd_) != 0 ? "fdatasync" : "";
  }
  std::string Trim(uint64_t, uint64_t) override { return ""; }
  std::string Ends(uint64_t*, uint64_t*) override { return ""; }

 private:
  int fd_;
  std::string bytes_;
};

class Lmdb : public Store {
 public:
  explicit Lmdb(const std::string& folder, unsigned flags) {
    mdb_env_create(&env_);
    mdb_env_set_mapsize(env_, size_t{1} << 36);
    if (const int e = mdb_env_open(env_, folder.c_str(), flags, 0600)) Die(mdb_strerror(e));
    MDB_txn* transaction;
    if (const int e = mdb_txn_begin(env_, nullptr, 0, &transaction)) Die(mdb_strerror(e));
    if (const int e = mdb_dbi_open(transaction, nullptr, 0, &table_)) Die(mdb_strerror(e));
    if (const int e = mdb_txn_commit(transaction)) Die(mdb_strerror(e));
  }
  ~Lmdb() override { mdb_env_close(env_); }
  std::string Append(uint64_t first, uint64_t count, bool) override {
    return Do([&](MDB_txn* transaction) {
      for (uint64_t n = first; n < first + count; ++n) {
        const Key key(n);
        MDB_val k{8, const_cast<char*>(key.bytes)};
        MDB_val v{kEventBytes, const_cast<char*>(kEvent.data())};
        if (const int e = mdb_put(transaction, table_, &k, &v, MDB_APPEND)) return e;
      }
      return 0;
    });
  }
  std::string Trim(uint64_t first, uint64_t count) override {
    // In groups: a transaction that frees everything at once must hold all its pages.
    for (uint64_t at = first; at < first + count; at += 10'000) {
      const std::string e = Do([&](MDB_txn* transaction) {
        for (uint64_t n = at; n < std::min(at + 10'000, first + count); ++n) {
          const Key key(n);
          MDB_val k{8, const_cast<char*>(key.bytes)};
          if (const int error = mdb_del(transaction, table_, &k, nullptr)) return error;
        }
        return 0;
      });
      if (!e.empty()) return e;
    }
    return "";
  }
  std::string Ends(uint64_t* first, uint64_t* last) override {
    return Do([&](MDB_txn* transaction) {
      MDB_cursor* cursor;
      MDB_val k, v;
      mdb_cursor_open(transaction, table_, &cursor);
      int e = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
      if (e == 0) *first = Number(k.mv_data);
      if (e == 0) e = mdb_cursor_get(cursor, &k, &v, MDB_LAST);
      if (e == 0) *last = Number(k.mv_data);
      mdb_cursor_close(cursor);
      return e;
    });
  }

 private:
  std::string Do(const std::function<int(MDB_txn*)>& act) {
    MDB_txn* transaction;
    if (const int e = mdb_txn_begin(env_, nullptr, 0, &transaction)) return mdb_strerror(e);
    if (const int e = act(transaction)) {
      mdb_txn_abort(transaction);
      return mdb_strerror(e);
    }
    const int e = mdb_txn_commit(transaction);
    return e == 0 ? "" : mdb_strerror(e);
  }
  MDB_env* env_ = nullptr;
  MDB_dbi table_ = 0;
};

class Rocks : public Store {
 public:
  explicit Rocks(const std::string& folder) : folder_(folder) { Open(); }
  void Open() {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.compression = rocksdb::kNoCompression;
    options.write_buffer_size = 16 << 20;
    options.max_write_buffer_number = 3;
    options.max_background_jobs = 2;
    options.keep_log_file_num = 2;
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
    rocksdb::DB* db = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(options, folder_, &db);
    if (!status.ok()) Die(status.ToString());
    db_.reset(db);
  }
  std::string Append(uint64_t first, uint64_t count, bool sync) override {
    rocksdb::WriteBatch batch(count * (kEventBytes + 16));
    for (uint64_t n = first; n < first + count; ++n) {
      const Key key(n);
      batch.Put({key.bytes, 8}, kEvent);
    }
    rocksdb::WriteOptions options;
    options.sync = sync;
    return Told(db_->Write(options, &batch));
  }
  std::string Trim(uint64_t first, uint64_t count) override {
    const Key begin(first), end(first + count);
    const rocksdb::Slice from(begin.bytes, 8), to(end.bytes, 8);
    rocksdb::Status status =
        rocksdb::DeleteFilesInRange(db_.get(), db_->DefaultColumnFamily(), &from, &to, false);
    if (status.ok()) {
      status = db_->DeleteRange(rocksdb::WriteOptions(), db_->DefaultColumnFamily(), from, to);
    }
    return Told(status);
  }
  std::string Ends(uint64_t* first, uint64_t* last) override {
    std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(rocksdb::ReadOptions()));
    at->SeekToFirst();
    if (at->Valid()) *first = Number(at->key().data());
    at->SeekToLast();
    if (at->Valid()) *last = Number(at->key().data());
    return Told(at->status());
  }
  std::string Resume() { return Told(db_->Resume()); }
  void Reopen() {
    db_.reset();
    Open();
  }

 private:
  static std::string Told(const rocksdb::Status& status) {
    return status.ok() ? "" : status.ToString();
  }
  std::string folder_;
  std::unique_ptr<rocksdb::DB> db_;
};

std::unique_ptr<Store> Open(const std::string& name, const std::string& folder, bool sync) {
  std::filesystem::create_directories(folder);
  if (name == "floor") return std::make_unique<Floor>(folder);
  if (name == "lmdb") return std::make_unique<Lmdb>(folder, sync ? 0 : MDB_NOSYNC);
  if (name == "rocksdb") return std::make_unique<Rocks>(folder);
  Die(name + " is no store");
}

void Groups(const std::string& name, const std::string& folder) {
  for (const bool sync : {true, false}) {
    for (const uint64_t group : {1, 10, 100, 1000}) {
      std::filesystem::remove_all(folder);
      const std::unique_ptr<Store> store = Open(name, folder, sync);
      const double begin = Now();
      uint64_t next = 1;
      uint64_t commits = 0;
      for (; Now() - begin < kSeconds; next += group, ++commits) {
        const std::string e = store->Append(next, group, sync);
        if (!e.empty()) Die(e);
      }
      const double seconds = Now() - begin;
      std::printf("%-8s %-6s group %5lu: %9.0f events/s  %7.0f commits/s  disk %6.1f bytes/event\n",
                  name.c_str(), sync ? "synced" : "", group, double(next - 1) / seconds,
                  double(commits) / seconds, double(DiskBytes(folder)) / double(next - 1));
      std::fflush(stdout);
    }
  }
}

void Fill(const std::string& name, const std::string& folder, uint64_t events) {
  const std::unique_ptr<Store> store = Open(name, folder, false);
  const double begin = Now();
  for (uint64_t next = 1; next <= events; next += 1000) {
    const std::string e = store->Append(next, 1000, false);
    if (!e.empty()) Die(e);
  }
  std::printf("%s: %lu events in %.2f s, disk %.1f bytes/event", name.c_str(), events,
              Now() - begin, double(DiskBytes(folder)) / double(events));
  PrintMemory();
}

void Ends(const std::string& name, const std::string& folder) {
  const double begin = Now();
  const std::unique_ptr<Store> store = Open(name, folder, false);
  uint64_t first = 0, last = 0;
  const std::string e = store->Ends(&first, &last);
  std::printf("%s: opened, first %lu, last %lu in %.1f ms %s", name.c_str(), first, last,
              (Now() - begin) * 1e3, e.c_str());
  PrintMemory();
}

void Trim(const std::string& name, const std::string& folder, uint64_t events) {
  const std::unique_ptr<Store> store = Open(name, folder, false);
  uint64_t first = 0, last = 0;
  store->Ends(&first, &last);
  const uint64_t before = DiskBytes(folder);
  const double begin = Now();
  const std::string e = store->Trim(first, events);
  const double seconds = Now() - begin;
  store->Ends(&first, &last);
  std::printf(
      "%s: deleted %lu from the head in %.1f ms (first is now %lu) %s, disk %.1f -> %.1f MB",
      name.c_str(), events, seconds * 1e3, first, e.c_str(), double(before) / 1e6,
      double(DiskBytes(folder)) / 1e6);
  PrintMemory();
}

void Full(const std::string& name, const std::string& folder) {
  const std::unique_ptr<Store> store = Open(name, folder, true);
  uint64_t next = 1;
  std::string e;
  for (; (e = store->Append(next, 100, true)).empty() && next < 10'000'000; next += 100) {
  }
  uint64_t first = 0, last = 0;
  std::printf("%s: after %lu events: %s\n", name.c_str(), next - 1, e.c_str());
  std::printf("  read: %s first %lu last %lu\n", store->Ends(&first, &last).c_str(), first, last);
  std::printf("  again: %s\n", store->Append(next, 100, true).c_str());
  std::filesystem::remove(folder + "/../ballast");
  std::printf("  with space: %s\n", store->Append(next, 100, true).c_str());
  if (auto* rocks = dynamic_cast<Rocks*>(store.get())) {
    std::printf("  Resume: %s\n", rocks->Resume().c_str());
    std::printf("  then: %s\n", store->Append(next, 100, true).c_str());
    std::printf("  then: %s\n", store->Append(next, 100, true).c_str());
    rocks->Reopen();
    std::printf("  reopened: %s\n", store->Append(next, 100, true).c_str());
  }
  store->Ends(&first, &last);
  std::printf("  at last: first %lu last %lu\n", first, last);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 3 ? argv[1] : "";
  const uint64_t events = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 0;
  if (command == "groups")
    Groups(argv[2], argv[3]);
  else if (command == "fill")
    Fill(argv[2], argv[3], events);
  else if (command == "open")
    Ends(argv[2], argv[3]);
  else if (command == "trim")
    Trim(argv[2], argv[3], events);
  else if (command == "full")
    Full(argv[2], argv[3]);
  else
    Die("see the top of stores.cc for the commands");
}
