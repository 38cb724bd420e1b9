// One publisher of a run: single events, arrays, lines, with keys that make a repeat harmless, cut
// off in the middle now and then. What it sends and is told it writes into the story.
//
// Thread: the driver's.
#pragma once

#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/plan.h"
#include "model/story.h"
#include "model/world.h"

namespace sluice::model {

// A request with keys, that may be sent again.
struct Repeatable {
  size_t life = 0;
  std::vector<size_t> numbers;
  std::string bytes;
  std::string ack;
};

class Publisher {
 public:
  Publisher(World& world, Story& story, Plan& plan, std::vector<Repeatable>& repeatables)
      : world_(world), story_(story), plan_(plan), repeatables_(repeatables) {}

  bool awaits() const { return !awaited_.empty(); }
  bool is_connected() const { return is_connected_; }
  World::Peer peer() const { return peer_; }

  // The gateway is gone: what was not answered never will be.
  void Forget() {
    is_connected_ = is_lines_ = is_head_read_ = false;
    awaited_.clear();
    reply_.clear();
  }

  void Act() {
    if (is_lines_) return ActOnLines();
    if (awaits()) {
      if (plan_.OneIn(60)) Cut();
      return;
    }
    Connect();
    switch (plan_.Below(8)) {
      case 0:
      case 1:
        return SendArray();
      case 2:
        return plan_.OneIn(4) ? BeginLines() : SendArray();
      case 3:
        return Repeat();
      default:
        return SendSingle();
    }
  }

  // Sent until it is accepted; with a key, so that it is there once.
  void SendSurely(size_t number) {
    Connect();
    if (is_lines_) EndLines();
    if (awaits()) return;
    Send("/publish", ToJson(story_.sent[number]).dump(), "application/json", {number}, "",
         "Idempotency-Key: end" + std::to_string(number) + "\r\n");
  }

  void EndLines() {
    if (!is_lines_ || has_ended_lines_) return;
    has_ended_lines_ = true;
    world_.Write(peer_, "0\r\n\r\n");
  }

  // Takes what came.
  void Read() {
    if (!is_connected_) return;
    reply_ += world_.Read(peer_, SIZE_MAX);
    is_lines_ ? ReadLines() : ReadReplies();
    if (is_connected_ && world_.IsAtEnd(peer_)) Forget();
  }

 private:
  struct Awaited {
    std::vector<size_t> numbers;
    std::string ack;
    bool is_array = false;
    bool has_key = false;
  };

  void Connect() {
    if (is_connected_) return;
    peer_ = world_.Connect(false);
    is_connected_ = true;
  }

  void Cut() {
    world_.Cut(peer_, plan_.OneIn(2));
    Forget();
  }

  static nlohmann::json ToJson(const Sent& sent) {
    nlohmann::json json{{"data", sent.data}};
    if (!sent.topics.empty()) json["topics"] = sent.topics;
    if (!sent.type.empty()) json["event"] = sent.type;
    if (!sent.key.empty()) json["key"] = sent.key;
    if (!sent.id.empty()) json["id"] = sent.id;
    if (sent.retry_ms != 0) json["retry"] = sent.retry_ms;
    return json;
  }

  size_t New(bool needs_id = false) {
    const size_t number = story_.sent.size();
    Sent sent = plan_.DrawEvent(number, story_.setting.data_bytes_max);
    if (needs_id) sent.id = "p" + std::to_string(number);
    sent.life = story_.lives.size() - 1;
    sent.sent_at = story_.Next();
    story_.sent.push_back(std::move(sent));
    return number;
  }

  // Empty: as the gateway is told to.
  std::string DrawAck() {
    constexpr const char* kAcks[] = {"", "", "", "memory", "written", "matched", "synced"};
    const std::string ack = kAcks[plan_.Below(7)];
    if (story_.setting.syncs_each) return ack == "synced" ? "synced,matched" : ack;
    return ack == "synced" ? "" : ack;  // there nobody syncs
  }

  void SendSingle() {
    const size_t number = New();
    const Sent& sent = story_.sent[number];
    const std::string ack = DrawAck();
    if (plan_.OneIn(3)) {
      return Send("/publish", ToJson(sent).dump(), "application/json", {number}, ack, DrawKey());
    }
    std::string target =
        sent.topics.empty() ? "/broadcast?" : "/publish/" + sent.topics.front() + "?";
    for (size_t i = 1; i < sent.topics.size(); ++i) target += "topic=" + sent.topics[i] + "&";
    if (!sent.type.empty()) target += "event=" + sent.type + "&";
    if (!sent.key.empty()) target += "key=" + sent.key + "&";
    if (!sent.id.empty()) target += "id=" + sent.id + "&";
    if (sent.retry_ms != 0) target += "retry=" + std::to_string(sent.retry_ms) + "&";
    Send(target, sent.data, "text/plain", {number}, ack, DrawKey());
  }

  void SendArray() {
    std::vector<size_t> numbers;
    nlohmann::json array = nlohmann::json::array();
    const bool by_ids = plan_.OneIn(5);
    for (uint32_t i = 1 + plan_.Below(4); i != 0; --i) {
      numbers.push_back(New(by_ids));
      story_.sent.back().follows = !by_ids && numbers.size() > 1;
      array.push_back(ToJson(story_.sent.back()));
    }
    if (by_ids) AddRepeats(&numbers, &array);
    Send(by_ids ? "/publish?idempotent=id&" : "/publish", array.dump(), "application/json", numbers,
         DrawAck(), by_ids ? "" : DrawKey());
  }

  // Events that were sent under their ids before stand in the array once more.
  void AddRepeats(std::vector<size_t>* numbers, nlohmann::json* array) {
    const std::vector<size_t> fresh = *numbers;
    for (const size_t number : ids_) {
      if (story_.sent[number].life + 1 != story_.lives.size() || !plan_.OneIn(3)) continue;
      numbers->push_back(number);
      array->push_back(ToJson(story_.sent[number]));
      ++story_.repeats;
    }
    ids_.insert(ids_.end(), fresh.begin(), fresh.end());
    while (ids_.size() > 6) ids_.pop_front();
  }

  std::string DrawKey() {
    if (!plan_.OneIn(4)) return "";
    return "Idempotency-Key: once" + std::to_string(story_.Next()) + "\r\n";
  }

  void Send(const std::string& target, const std::string& body, const std::string& type,
            std::vector<size_t> numbers, const std::string& ack, const std::string& key) {
    std::string line = target;
    if (!ack.empty()) {
      line += target.find('?') == std::string::npos ? "?" : "";
      line += "ack=" + ack;
    }
    const bool has_key = !key.empty() || target.find("idempotent=id") != std::string::npos;
    const std::string request =
        "POST " + line + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + type + "\r\n" + key +
        "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    if (has_key) repeatables_.push_back({story_.lives.size() - 1, numbers, request, ack});
    world_.Write(peer_, request);
    const bool is_array = body.starts_with('[');
    awaited_.push_back({std::move(numbers), ack, is_array, has_key});
  }

  // What was sent before, perhaps not answered yet, perhaps never to be.
  void Repeat() {
    if (repeatables_.empty()) return;
    const size_t newest = std::min<size_t>(repeatables_.size(), 6);
    const Repeatable& again =
        repeatables_[repeatables_.size() - 1 - plan_.Below(static_cast<uint32_t>(newest))];
    if (again.life + 1 != story_.lives.size()) return;
    ++story_.repeats;
    world_.Write(peer_, again.bytes);
    awaited_.push_back(
        {again.numbers, again.ack, again.bytes.find("\r\n\r\n[") != std::string::npos, true});
  }

  // --- Lines ---

  void BeginLines() {
    is_lines_ = true;
    has_ended_lines_ = is_head_read_ = false;
    lines_ack_ = DrawAck();
    world_.Write(peer_, "POST /publish" + (lines_ack_.empty() ? "" : "?ack=" + lines_ack_) +
                            " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
                            "Transfer-Encoding: chunked\r\n\r\n");
    ActOnLines();
  }

  void ActOnLines() {
    if (has_ended_lines_ || awaited_.size() > 4) return;
    if (plan_.OneIn(20)) return EndLines();
    const size_t number = New();
    std::string line = ToJson(story_.sent[number]).dump();
    // Cut off in the middle of a line: that one is none.
    const bool is_cut = plan_.OneIn(40);
    if (is_cut) line.resize(1 + plan_.Below(static_cast<uint32_t>(line.size() - 1)));
    if (!is_cut) line += '\n';
    char size[17];
    snprintf(size, sizeof size, "%zx", line.size());
    world_.Write(peer_, std::string(size) + "\r\n" + line + "\r\n");
    if (!is_cut) return awaited_.push_back({{number}, lines_ack_});
    story_.sent[number].fate = Fate::kRefused;
    Cut();
  }

  void ReadLines() {
    if (!is_head_read_) {
      const size_t end = reply_.find("\r\n\r\n");
      if (end == std::string::npos) return;
      if (!reply_.starts_with("HTTP/1.1 200 ")) {
        for (const Awaited& awaited : awaited_) Refuse(awaited);
        return Cut();
      }
      reply_.erase(0, end + 4);
      is_head_read_ = true;
    }
    for (size_t end; (end = reply_.find('\n')) != std::string::npos;) {
      std::string line = reply_.substr(0, end);
      reply_.erase(0, end + 1);
      const bool is_end = line.starts_with("0\r");
      if (is_end) {
        Forget();  // a connection of its own each time
        return;
      }
      if (!line.starts_with('{') || awaited_.empty()) continue;
      const Awaited awaited = awaited_.front();
      awaited_.pop_front();
      Take(awaited, line);
    }
  }

  // --- Answers ---

  void ReadReplies() {
    constexpr std::string_view kLength = "Content-Length: ";
    const size_t head = reply_.find("\r\n\r\n");
    if (head == std::string::npos || awaited_.empty()) return;
    const size_t length = std::stoul(reply_.substr(reply_.find(kLength) + kLength.size()));
    if (reply_.size() < head + 4 + length) return;
    const Awaited awaited = awaited_.front();
    awaited_.pop_front();
    const std::string body = reply_.substr(head + 4, length);
    reply_.erase(0, head + 4 + length);
    Take(awaited, body);
  }

  void Take(const Awaited& awaited, const std::string& body) {
    const auto json = nlohmann::json::parse(body, nullptr, false);
    if (json.is_discarded()) return story_.faults.push_back("an answer that is no JSON: " + body);
    const bool is_had = json["success"] == true;
    const auto data = json.find("data");
    const bool has_id = data != json.end() && (data->contains("id") || data->contains("ids"));
    if (!has_id) {
      if (is_had || json["code"] < 500) story_.faults.push_back("a strange answer: " + body);
      return Refuse(awaited);
    }
    std::vector<std::string> ids;
    if (awaited.is_array) {
      ids = (*data)["ids"].get<std::vector<std::string>>();
    } else {
      ids.push_back((*data)["id"]);
    }
    if (ids.size() != awaited.numbers.size()) {
      return story_.faults.push_back("not an id for each event: " + body);
    }
    for (size_t i = 0; i < ids.size(); ++i) Accept(awaited, awaited.numbers[i], ids[i], is_had);
  }

  void Accept(const Awaited& awaited, size_t number, const std::string& id, bool is_had) {
    Sent& sent = story_.sent[number];
    const bool is_first = sent.fate != Fate::kAccepted;
    if (!is_first && sent.told_id != id) {
      story_.faults.push_back("event " + std::to_string(number) + " has the ids " + sent.told_id +
                              " and " + id);
    }
    sent.fate = Fate::kAccepted;
    sent.told_id = id;
    if (is_first) sent.answered_at = story_.Next();
    // Later answers may promise more.
    if (!is_had) return;
    const std::string& ack = awaited.ack;
    const bool is_synced =
        ack.find("synced") != std::string::npos || (ack.empty() && story_.setting.syncs_each);
    const bool is_written = ack.find("written") != std::string::npos;
    if (is_synced) {
      sent.reach = Reach::kSynced;
    } else if (is_written && sent.reach == Reach::kMemory) {
      sent.reach = Reach::kWritten;
    }
    if (ack.find("matched") != std::string::npos && !sent.is_matched) {
      sent.is_matched = true;
      sent.answered_at = story_.Next();
    }
  }

  void Refuse(const Awaited& awaited) {
    for (const size_t number : awaited.numbers) {
      Sent& sent = story_.sent[number];
      if (!awaited.has_key && sent.fate == Fate::kUnknown) sent.fate = Fate::kRefused;
    }
  }

  World& world_;
  Story& story_;
  Plan& plan_;
  std::vector<Repeatable>& repeatables_;
  World::Peer peer_ = 0;
  bool is_connected_ = false;
  bool is_lines_ = false;
  bool has_ended_lines_ = false;
  bool is_head_read_ = false;
  std::string lines_ack_;
  std::string reply_;
  std::deque<Awaited> awaited_;
  std::deque<size_t> ids_;
};

}  // namespace sluice::model
