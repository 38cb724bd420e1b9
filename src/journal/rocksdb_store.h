// The store that the gateway uses: RocksDB. Blocks lie in a column family of their own, so that its
// files follow one another and are neither merged nor rewritten; what retention let go of is given
// back a file at a time.
//
// Thread: as JournalStore says. RocksDB has two threads of its own, for flushes.
// Bounds: memory: four write buffers of 16 MiB, 8 MiB of cached blocks. Disk: what is held, and at
//         most five files of 16 MiB that wait to be given back, and the write-ahead log.
// Errors: a store that another process has open, or that is damaged, is not opened. A torn end of
//         the write-ahead log is cut (torn() says so). After a failed write RocksDB 7.8 takes no
//         other, not even after Resume (its issue 11643): Recover closes and opens it.
#pragma once

#include <memory>
#include <string>

#include "journal/store.h"

namespace sluice {

enum class StoreAccess { kReadAndWrite, kReadOnly };

Status OpenRocksDbStore(const std::string& directory, StoreAccess access,
                        std::unique_ptr<JournalStore>* store);

}  // namespace sluice
