#include "journal/journal_tool.h"

#include <time.h>

#include <cstdio>
#include <memory>

#include "base/clock.h"
#include "base/json_escape.h"
#include "event/frame.h"
#include "journal/reader.h"
#include "journal/recovery.h"
#include "journal/rocksdb_store.h"
#include "journal/span_table.h"
#include "journal/state.h"

namespace sluice {
namespace {

struct OpenedJournal {
  std::unique_ptr<JournalStore> store;
  JournalStateRecord state;
  SpanTable spans{JournalRetention{}};
  JournalRecovery found;
};

Status OpenToRead(const std::string& directory, OpenedJournal* journal) {
  Status status = OpenRocksDbStore(directory, StoreAccess::kReadOnly, &journal->store);
  if (!status.ok()) return status;
  status = ReadJournal(*journal->store, &journal->state, &journal->spans, &journal->found);
  if (!status.ok()) {
    return Status(status.code(), "journal " + directory + ": " + status.message());
  }
  return Status::Ok();
}

std::string Time(int64_t wall_ns) {
  const time_t seconds = wall_ns / kNsPerSecond;
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  const size_t end = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + end, sizeof text - end, ".%03dZ",
                static_cast<int>(wall_ns % kNsPerSecond / kNsPerMs));
  return text;
}

std::string Quoted(std::string_view text) {
  std::string quoted;
  AppendJsonString(&quoted, text);
  return quoted;
}

// What the wire bytes say (see the grammar in event/frame.h).
struct Fields {
  std::string type;
  std::string data;
  std::string id;
};

Fields ReadFields(std::string_view wire) {
  Fields fields;
  bool has_data = false;
  while (!wire.empty()) {
    const size_t end = std::min(wire.find('\n'), wire.size());
    const std::string_view line = wire.substr(0, end);
    wire.remove_prefix(std::min(end + 1, wire.size()));
    if (line.starts_with("event: ")) fields.type = line.substr(7);
    if (line.starts_with("id: ")) fields.id = line.substr(4);
    if (line.starts_with("data: ")) {
      if (has_data) fields.data += '\n';
      fields.data += line.substr(6);
      has_data = true;
    }
  }
  return fields;
}

void PrintHole(const JournalRecord& record, std::ostream& out) {
  out << "{\"" << (record.kind == RecordKind::kHole ? "hole" : "skip")
      << "\":{\"first\":" << record.first << ",\"last\":" << record.last;
  if (record.kind == RecordKind::kHole) {
    if (record.events != 0) out << ",\"events\":" << record.events;
    out << ",\"reason\":\"" << HoleReasonName(record.reason) << '"';
  }
  out << "}}\n";
}

void PrintEvent(const JournalRecord& record, std::ostream& out) {
  const Fields fields = ReadFields(record.wire);
  out << "{\"sequence\":" << record.first << ",\"time\":\"" << Time(record.wall_ns)
      << "\",\"id\":" << Quoted(fields.id) << ",\"topics\":[";
  const char* comma = "";
  record.ForEachTopic([&](std::string_view topic) {
    out << comma << Quoted(topic);
    comma = ",";
  });
  out << ']';
  if (!fields.type.empty()) out << ",\"event\":" << Quoted(fields.type);
  if (!record.key.empty()) out << ",\"key\":" << Quoted(record.key);
  out << ",\"data\":" << Quoted(fields.data) << "}\n";
}

// Everything that the journal holds.
Status ReadAll(OpenedJournal& journal, const OnRecord& on_record, ReadSummary* summary) {
  if (journal.found.last == 0) return Status::Ok();
  return ReadRecords(*journal.store, journal.state.first - 1, journal.found.last, on_record,
                     summary);
}

}  // namespace

Status InspectJournal(const std::string& directory, std::ostream& out) {
  OpenedJournal journal;
  Status status = OpenToRead(directory, &journal);
  if (!status.ok()) return status;
  const JournalRecovery& found = journal.found;
  const Epoch epoch(found.epoch);
  out << "epoch:      " << epoch.text() << '\n';
  out << "events:     " << found.events << '\n';
  if (found.last != 0) {
    out << "sequences:  " << found.first << " to " << found.last << '\n';
  }
  out << "bytes:      " << found.bytes << " of records, " << journal.store->DiskBytes()
      << " on disk\n";
  out << "spans:      " << journal.spans.closed() << " closed\n";
  out << "next:       " << epoch.Id(found.next_sequence)
      << (found.was_stopped ? " (stopped in order)" : " (running, or not stopped in order)")
      << '\n';
  if (!found.torn.empty()) out << "torn:       " << found.torn << '\n';
  if (found.damaged != 0) out << "damaged:    " << found.damaged << " records\n";
  return Status::Ok();
}

Status VerifyJournal(const std::string& directory, std::ostream& out) {
  OpenedJournal journal;
  Status status = OpenToRead(directory, &journal);
  if (!status.ok()) return status;
  ReadSummary summary;
  uint64_t damaged_holes = 0;
  status = ReadAll(
      journal,
      [&](const JournalRecord& record) {
        if (record.kind != RecordKind::kEvent) PrintHole(record, out);
        damaged_holes += record.reason == HoleReason::kDamage;
        return true;
      },
      &summary);
  out << summary.events << " events in " << summary.blocks << " blocks, " << summary.bytes
      << " bytes; " << summary.holes << " holes; " << summary.damaged << " damaged records\n";
  if (!status.ok()) return status;
  if (summary.damaged != 0 || damaged_holes != 0) {
    return Status::Unavailable("journal " + directory +
                               ": damaged; readers are told a gap where events are missing");
  }
  if (summary.events != journal.found.events) {
    return Status::Unavailable("journal " + directory + ": its spans count " +
                               std::to_string(journal.found.events) + " events");
  }
  return Status::Ok();
}

Status ExportJournal(const std::string& directory, std::ostream& out) {
  OpenedJournal journal;
  Status status = OpenToRead(directory, &journal);
  if (!status.ok()) return status;
  ReadSummary summary;
  return ReadAll(
      journal,
      [&](const JournalRecord& record) {
        if (record.kind == RecordKind::kEvent) {
          PrintEvent(record, out);
        } else {
          PrintHole(record, out);
        }
        return out.good();
      },
      &summary);
}

}  // namespace sluice
