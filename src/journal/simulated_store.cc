#include "journal/simulated_store.h"

#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace sluice {

class SimulatedStore : public JournalStore {
 public:
  SimulatedStore(SimulatedDisk& disk, uint64_t generation, std::string torn)
      : disk_(disk), generation_(generation), torn_(std::move(torn)) {}

  std::string torn() const override { return torn_; }
  Status Commit(std::span<const StoreWrite> writes, bool sync) override {
    return disk_.Commit(generation_, writes, sync);
  }
  Status Sync() override { return disk_.Sync(generation_); }
  Status Recover() override {
    const std::lock_guard lock(disk_.mutex_);
    return disk_.failure_.empty() ? Status::Ok() : Status::Unavailable(disk_.failure_);
  }
  Status Read(StoreTable table, uint64_t from, uint64_t through, size_t bytes_max,
              std::vector<StoreEntry>* entries) override {
    entries->clear();
    const std::lock_guard lock(disk_.mutex_);
    auto at = disk_.written_.upper_bound({table, from});
    if (at != disk_.written_.begin() && std::prev(at)->first.first == table) --at;
    size_t bytes = 0;
    for (; at != disk_.written_.end() && at->first.first == table && at->first.second <= through &&
           bytes < bytes_max;
         ++at) {
      entries->push_back({at->first.second, at->second});
      bytes += at->second.size();
    }
    return Status::Ok();
  }
  Status Drop(uint64_t first) override {
    const std::lock_guard lock(disk_.mutex_);
    for (SimulatedDisk::Table* table : {&disk_.written_, &disk_.durable_}) {
      table->erase(table->lower_bound({StoreTable::kBlocks, 0}),
                   table->lower_bound({StoreTable::kBlocks, first}));
    }
    return Status::Ok();
  }
  uint64_t DiskBytes() const override { return disk_.bytes(); }

 private:
  SimulatedDisk& disk_;
  const uint64_t generation_;
  const std::string torn_;
};

std::unique_ptr<JournalStore> SimulatedDisk::OpenStore() {
  const std::lock_guard lock(mutex_);
  return std::make_unique<SimulatedStore>(*this, generation_, std::exchange(torn_, {}));
}

void SimulatedDisk::Fail(std::string words) {
  const std::lock_guard lock(mutex_);
  failure_ = std::move(words);
}

void SimulatedDisk::Stall(bool on) {
  const std::lock_guard lock(mutex_);
  is_stalling_ = on;
  changed_.notify_all();
}

void SimulatedDisk::AwaitStalled() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stalled_ != 0; });
}

void SimulatedDisk::SetBytesMax(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  bytes_max_ = bytes;
}

void SimulatedDisk::Kill() {
  const std::lock_guard lock(mutex_);
  ++generation_;
  changed_.notify_all();
}

void SimulatedDisk::PowerOff(size_t kept) {
  const std::lock_guard lock(mutex_);
  ++generation_;
  for (size_t i = 0; i < unsynced_.size() && i < kept; ++i) Apply(unsynced_[i], &durable_);
  if (kept < unsynced_.size()) torn_ = "a group that was not written to its end";
  unsynced_.clear();
  written_ = durable_;
  changed_.notify_all();
}

uint64_t SimulatedDisk::commits() const {
  const std::lock_guard lock(mutex_);
  return commits_;
}

uint64_t SimulatedDisk::syncs() const {
  const std::lock_guard lock(mutex_);
  return syncs_;
}

uint64_t SimulatedDisk::bytes() const {
  const std::lock_guard lock(mutex_);
  return Bytes(written_);
}

void SimulatedDisk::Damage(StoreTable table, uint64_t key, size_t at) {
  const std::lock_guard lock(mutex_);
  for (Table* entries : {&written_, &durable_}) {
    const auto entry = entries->find({table, key});
    if (entry == entries->end()) continue;
    SLUICE_CHECK(at < entry->second.size());
    entry->second[at] = static_cast<char>(entry->second[at] ^ 1);
  }
}

std::vector<uint64_t> SimulatedDisk::Keys(StoreTable table) const {
  const std::lock_guard lock(mutex_);
  std::vector<uint64_t> keys;
  for (const auto& [at, bytes] : written_) {
    if (at.first == table) keys.push_back(at.second);
  }
  return keys;
}

Status SimulatedDisk::Await(uint64_t generation, std::unique_lock<std::mutex>* lock) {
  ++stalled_;
  changed_.notify_all();
  changed_.wait(*lock, [&] { return !is_stalling_ || generation != generation_; });
  --stalled_;
  return generation == generation_ ? Status::Ok() : Status::Unavailable("the process was killed");
}

Status SimulatedDisk::Commit(uint64_t generation, std::span<const StoreWrite> writes, bool sync) {
  std::unique_lock lock(mutex_);
  if (is_stalling_ || generation != generation_) {
    if (Status status = Await(generation, &lock); !status.ok()) return status;
  }
  if (!failure_.empty()) return Status::Unavailable(failure_);
  Group group;
  uint64_t bytes = 0;
  for (const StoreWrite& write : writes) {
    group.push_back({{write.table, write.key}, std::string(write.bytes)});
    bytes += write.bytes.size();
  }
  if (Bytes(written_) + bytes > bytes_max_) return Status::Unavailable(std::strerror(ENOSPC));
  ++commits_;
  Apply(group, &written_);
  unsynced_.push_back(std::move(group));
  if (sync) {
    ++syncs_;
    durable_ = written_;
    unsynced_.clear();
  }
  return Status::Ok();
}

Status SimulatedDisk::Sync(uint64_t generation) {
  std::unique_lock lock(mutex_);
  if (is_stalling_ || generation != generation_) {
    if (Status status = Await(generation, &lock); !status.ok()) return status;
  }
  if (!failure_.empty()) return Status::Unavailable(failure_);
  ++syncs_;
  durable_ = written_;
  unsynced_.clear();
  return Status::Ok();
}

void SimulatedDisk::Apply(const Group& group, Table* table) {
  for (const Write& write : group) {
    if (write.bytes.empty()) {
      table->erase(write.at);
    } else {
      (*table)[write.at] = write.bytes;
    }
  }
}

uint64_t SimulatedDisk::Bytes(const Table& table) {
  uint64_t bytes = 0;
  for (const auto& [at, value] : table) bytes += value.size();
  return bytes;
}

}  // namespace sluice
