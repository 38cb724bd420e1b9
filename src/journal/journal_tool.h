// What `sluice journal` shows of a journal on disk, without changing it. A gateway may be running
// on it: then it is as it was when it was opened here.
//
//   inspect  what it holds, in some lines
//   verify   reads every record and its checksum, and tells each hole and each damaged record
//   export   every record as a line of JSON:
//            {"sequence":7,"time":"2026-11-22T20:00:00.000Z","id":"...","topics":["a"],
//             "event":"...","key":"...","data":"..."}
//            {"hole":{"first":8,"last":9,"events":2,"reason":"..."}}
//            {"skip":{"first":10,"last":12}}
//
// Thread: any.
// Errors: kInvalidArgument if there is no journal, kUnavailable if it cannot be read; verify: if
//         anything is damaged.
#pragma once

#include <ostream>
#include <string>

#include "base/status.h"

namespace sluice {

Status InspectJournal(const std::string& directory, std::ostream& out);
Status VerifyJournal(const std::string& directory, std::ostream& out);
Status ExportJournal(const std::string& directory, std::ostream& out);

}  // namespace sluice
