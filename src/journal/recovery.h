// Opens a store as a journal: reads its state, counts its last span anew, notes what a kill may
// have lost, and reserves the sequences of this run.
//
// Thread: the one that opens the journal, before any other has it.
// Errors: kInvalidArgument for a store that is no journal or is of another version, kUnavailable
// for
//         one that cannot be read or written.
#pragma once

#include "base/status.h"
#include "journal/journal.h"
#include "journal/writer.h"

namespace sluice {

Status RecoverJournal(const JournalOptions& options, std::unique_ptr<JournalStore> store,
                      JournalRecovery* recovery, JournalFound* found);

// State, spans and blocks, as they stand; for RecoverJournal and the tools that change nothing.
Status ReadJournal(JournalStore& store, JournalStateRecord* state, SpanTable* spans,
                   JournalRecovery* recovery);

int64_t HostWallNs();

}  // namespace sluice
