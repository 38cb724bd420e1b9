// A page of GET /topics: what all shards' streams ask for and what the history knows, by name.
//
//   {"rate_window_seconds":41.207,"topics":[
//   {"name":"a/1","kind":"topic","subscribers":2,"rate":0.121,"published_total":5,"history":{...}},
//   {"name":"a/*","kind":"pattern","subscribers":1}
//   ],"next":"?limit=2&after=a/*"}
//
// In steps, each a share of a turn: all shards are asked; the history comes to hold what was on the
// ring when it was; its topics are put in order, those that nobody has asked for yet; then a
// hundred lines a turn. A name is on exactly one page, or on none if it came or went meanwhile.
//
// Thread: its shard's.
// Bounds: as TopicBoard; its text, a line of some hundred bytes and the name for each topic.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "event/frame.h"
#include "history/shared_history.h"
#include "http/services.h"
#include "shard/topic_board.h"

namespace sluice {

class TopicPage : public http::TopicsPage {
 public:
  struct Source {
    uint32_t shard;
    TopicBoard& board;
    const Ring& ring;
    const Epoch& epoch;
    SharedHistory* history;  // null: there is none
  };
  TopicPage(const Source& source, const http::TopicsRequest& request);
  ~TopicPage() override;

  bool GoOn(int64_t now_ns) override;
  bool HasWork() const override;
  const std::string& text() const override { return text_; }

 private:
  static constexpr size_t kLinesATurn = 128;

  bool Ask(int64_t now_ns);
  bool AwaitHistory();
  bool WriteLines();
  bool ReadMore(bool* has_read);
  const std::string* FirstName() const;
  void WriteLine();
  void WriteFacts(const TopicFacts& facts);
  void WriteId(uint64_t sequence);
  void WriteEnd(bool has_more);

  const Source source_;
  const http::TopicsRequest request_;
  std::shared_ptr<TopicQuestion> question_;
  int64_t now_ns_ = 0;  // of the question
  int64_t window_ns_ = 0;
  int64_t wall_offset_ns_ = 0;
  uint64_t asked_at_ = 0;  // the newest sequence on the ring then
  TopicOrderStep order_;
  bool is_in_order_ = false;

  std::vector<size_t> taken_;  // of each shard's answer
  std::vector<TopicFacts> facts_;
  size_t facts_taken_ = 0;
  bool has_all_facts_;
  std::string name_;  // of the line written last
  size_t lines_ = 0;
  std::string text_;
};

}  // namespace sluice
