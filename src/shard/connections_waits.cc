// Connections whose sessions wait: for room on the ring, for acks, for a page that is gathered.
#include <utility>

#include "shard/connections.h"

namespace sluice {

bool Connections::HoldsWhatComes(const http::Session& session) {
  return session.next() == http::Next::kWaitsForAck || session.next() == http::Next::kWaitsForPage;
}

// What comes meanwhile is held, up to a bound.
void Connections::HoldBack(const SessionSlot& slot) {
  if (!HoldsWhatComes(slot.session) || slot.session.takes_more()) return;
  engine_.Read(slot.connection, ReadMode::kPaused);
}

void Connections::HoldForRoom(SessionSlot* slot) {
  engine_.Read(slot->connection, ReadMode::kPaused);
  if (slot->is_held) return;
  slot->is_held = true;
  waiting_for_room_.push_back(slot->connection);
}

void Connections::RetryRoom(int64_t now_ns) {
  const std::vector<ConnectionId> waiting = std::exchange(waiting_for_room_, {});
  for (const ConnectionId connection : waiting) {
    const Connection* record = Find(connection);
    if (record == nullptr || record->state != State::kSession) continue;  // gone since
    SessionSlot& slot = sessions_[record->value];
    slot.is_held = false;
    slot.session.RetryRoom(now_ns);
    if (slot.session.next() == http::Next::kReceive) {
      engine_.Read(connection, ReadMode::kReceive);
    }
    AfterSession(connection, now_ns);
  }
}

void Connections::AwaitAck(SessionSlot* slot) {
  const http::AckWait& wait = *slot->session.ack_wait();
  HoldBack(*slot);
  const uint64_t sequence = wait.last_sequence();
  if (slot->awaited == sequence && slot->awaited_ack == wait.ack) return;
  slot->awaited = sequence;
  slot->awaited_ack = wait.ack;
  acks_.Push(wait.ack, sequence, slot->connection);
}

bool Connections::IsPending(const http::PublishAck& ack, uint64_t sequence) const {
  const http::AckAnswer answer =
      site_.services().publisher->AskAck(sequence, ack, http::PublishOnce::By::kNothing);
  return answer.state == http::AckAnswer::State::kPending;
}

bool Connections::HasAnsweredAcks() const {
  return acks_.HasAnswered(
      [this](const auto& ack, uint64_t sequence) { return IsPending(ack, sequence); });
}

void Connections::TellAcks(int64_t now_ns) {
  acks_.TakeAnswered(
      [this](const auto& ack, uint64_t sequence) { return IsPending(ack, sequence); },
      [&](const http::PublishAck& ack, uint64_t sequence, ConnectionId connection) {
        const Connection* record = Find(connection);
        if (record == nullptr || record->state != State::kSession) return;  // gone since
        SessionSlot& slot = sessions_[record->value];
        if (slot.awaited == sequence && slot.awaited_ack == ack) slot.awaited = 0;
        slot.session.RetryAcks(now_ns);
        if (slot.session.next() == http::Next::kReceive && (!slot.is_waiting || slot.sums_up)) {
          engine_.Read(connection, ReadMode::kReceive);
        }
        AfterSession(connection, now_ns);
      });
}

void Connections::AwaitPage(SessionSlot* slot) {
  HoldBack(*slot);
  if (slot->has_page) return;
  slot->has_page = true;
  waiting_for_pages_.Push(slot->connection);
}

// One after the other, so that a turn has one page's work at most.
void Connections::GoOnPage(int64_t now_ns) {
  while (!waiting_for_pages_.empty()) {
    const ConnectionId connection = waiting_for_pages_.front();
    const Connection* record = Find(connection);
    if (record == nullptr || record->state != State::kSession) {  // gone since
      waiting_for_pages_.Pop();
      continue;
    }
    SessionSlot& slot = sessions_[record->value];
    slot.session.GoOnPage(now_ns);
    // Another request may have come with it, which waits for a page of its own then.
    const bool is_same = slot.session.page() != nullptr && slot.session.output().empty();
    if (is_same) return;
    waiting_for_pages_.Pop();
    slot.has_page = false;
    if (slot.session.next() == http::Next::kReceive && (!slot.is_waiting || slot.sums_up)) {
      engine_.Read(connection, ReadMode::kReceive);
    }
    return AfterSession(connection, now_ns);
  }
}

bool Connections::HasPageWork() {
  if (waiting_for_pages_.empty()) return false;
  const Connection* record = Find(waiting_for_pages_.front());
  if (record == nullptr || record->state != State::kSession) return true;  // to be passed over
  const http::TopicsPage* const page = sessions_[record->value].session.page();
  return page == nullptr || page->HasWork();
}

}  // namespace sluice
