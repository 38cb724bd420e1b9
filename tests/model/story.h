// What happened to a gateway over all of its lives, as those outside saw it: what publishers sent
// and were told, what each reader asked for and was sent. A driver writes it, the judge reads it.
//
// Thread: the driver's. A tick is a place in the order in which the driver did and saw things: what
// was sent at a later tick than something was received cannot have been its cause.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::model {

using Tick = uint64_t;
inline constexpr Tick kNever = UINT64_MAX;

enum class Action : uint8_t { kDisconnect, kSkip, kConflate };
enum class From : uint8_t { kNow, kEarliest, kNewest, kValues };
enum class Ending : uint8_t { kNone, kKill, kPowerLoss, kStop };
enum class Fate : uint8_t { kUnknown, kAccepted, kRefused };
enum class Reach : uint8_t { kMemory, kWritten, kSynced };

// What may differ from one run to the next, and the model has to know.
struct Setting {
  uint64_t seed = 0;
  uint32_t shards = 1;
  uint32_t ring_events_max = 64;
  // The newest events held of the class kRareClass, and of all others.
  bool has_rare_class = false;
  uint64_t rare_events_max = 0;
  uint64_t other_events_max = 0;
  bool goes_on_live = false;  // who has lost its place
  uint64_t skip_events_max = 0;
  uint64_t conflate_events_max = 0;
  uint64_t table_events_max = 0;
  bool syncs_each = true;  // --ack synced
  bool has_faults = false;
  uint32_t data_bytes_max = 300;  // of most events
};
inline constexpr const char* kRareClass = "a/**";
inline constexpr const char* kSkipping = "s/**";
inline constexpr const char* kConflating = "c/**";

// An event that a publisher sent, once or (with a key) several times.
struct Sent {
  std::vector<std::string> topics;
  std::string type;
  std::string key;
  std::string id;    // the publisher's; empty: it gets the gateway's
  std::string data;  // begins with its number
  uint32_t retry_ms = 0;

  size_t life = 0;
  Tick sent_at = 0;
  Tick answered_at = kNever;
  Fate fate = Fate::kUnknown;
  Reach reach = Reach::kMemory;  // what its answer promised
  bool is_matched = false;
  std::string told_id;
  // It has the place after that of the event before it, if it has one.
  bool follows = false;
};

// A whole block of a stream, with its empty line.
struct Block {
  Tick at = 0;
  std::string text;
};

struct Connection {
  size_t life = 0;
  std::string last_id;  // what it sent; empty: none
  From from = From::kNow;
  uint32_t newest_count = 0;
  Tick begun_at = 0;
  std::vector<Block> blocks;
};

struct Reader {
  std::vector<std::string> patterns;
  std::vector<Connection> connections;
  bool reads_to_the_end = true;
};

struct Life {
  uint64_t first_sequence = 0;  // the first that it gives out
  Ending ending = Ending::kNone;
};

struct Story {
  Setting setting;
  Tick now = 0;
  std::vector<Sent> sent;  // by number
  std::vector<Reader> readers;
  std::vector<Life> lives;
  std::vector<std::string> faults;  // what no model is needed for
  uint64_t repeats = 0;             // publishes that were sent again

  Tick Next() { return ++now; }
};

// --- Blocks ---

// The value of the first line of this name; empty if there is none.
inline std::string FieldOf(const std::string& block, const std::string& name) {
  const size_t at = ("\n" + block).find("\n" + name + ": ");
  if (at == std::string::npos) return "";
  const size_t begin = at + name.size() + 2;
  return block.substr(begin, block.find('\n', begin) - begin);
}

// The value of a field in the data of a gap; empty if it is null.
inline std::string GapField(const std::string& block, const std::string& name) {
  const size_t at = block.find("\"" + name + "\":\"");
  if (at == std::string::npos) return "";
  const size_t begin = at + name.size() + 4;
  return block.substr(begin, block.find('"', begin) - begin);
}

inline bool IsOf(const std::string& block, const std::string& type) {
  return block.starts_with("event: " + type + "\n") ||
         block.find("\nevent: " + type + "\n") != std::string::npos;
}

// The number of the event that it carries; SIZE_MAX: none.
inline size_t NumberOf(const std::string& block) {
  const std::string data = FieldOf(block, "data");
  if (data.size() < 2 || data[0] != 'e' || data[1] < '0' || data[1] > '9') return SIZE_MAX;
  return std::stoull(data.substr(1));
}

// What an id of the gateway's shape says.
struct OwnId {
  std::string epoch;
  uint64_t sequence = 0;
  bool is_one = false;
};
inline OwnId ParseOwnId(const std::string& id) {
  constexpr size_t kEpochDigits = 12;
  if (id.size() < kEpochDigits + 2 || id[kEpochDigits] != '-') return {};
  return {id.substr(0, kEpochDigits), std::stoull(id.substr(kEpochDigits + 1)), true};
}

// Blocks of a stream as its bytes come.
class BlockSplitter {
 public:
  // False if the head is no 200.
  bool Feed(const std::string& bytes, Tick at, std::vector<Block>* blocks) {
    rest_ += bytes;
    if (!has_head_) {
      const size_t end = rest_.find("\r\n\r\n");
      if (end == std::string::npos) return true;
      head_ = rest_.substr(0, end);
      rest_.erase(0, end + 4);
      has_head_ = true;
      if (!head_.starts_with("HTTP/1.1 200 ")) return false;
    }
    for (size_t end; (end = rest_.find("\n\n")) != std::string::npos;) {
      size_t begin = 0;
      while (rest_.compare(begin, 2, ":\n") == 0) begin += 2;  // heartbeats
      blocks->push_back({at, rest_.substr(begin, end + 2 - begin)});
      rest_.erase(0, end + 2);
    }
    return true;
  }
  const std::string& head() const { return head_; }

 private:
  bool has_head_ = false;
  std::string head_;
  std::string rest_;
};

}  // namespace sluice::model
