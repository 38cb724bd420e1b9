// How a gateway begins with its journal: options to journal options, and the journal's newest
// events into the history, so that readers from before the restart find their places.
//
// Thread: the one that starts the gateway, before any shard runs.
// Bounds: FillHistory reads about as much as the history can hold, from the place on where that
//         begins, and holds one event besides.
// Errors: as Journal::Open; what cannot be read is no error: readers are told of a gap.
#pragma once

#include <string>

#include "history/shared_history.h"
#include "journal/journal.h"
#include "sluice/options.h"

namespace sluice {

JournalOptions JournalOptionsOf(const Options& options, const HistoryLimits& limits);

// Returns a line for the log about what could not be read; empty: nothing.
std::string FillHistory(Journal& journal, const JournalRecovery& recovery, SharedHistory& history);

}  // namespace sluice
