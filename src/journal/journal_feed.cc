#include "journal/journal_feed.h"

namespace sluice {

JournalFeed::JournalFeed(Journal& journal, Ring& ring, uint32_t consumer)
    : journal_(journal), ring_(ring), consumer_(consumer) {
  ring_.RaiseEnd(journal_.ceiling());
}

bool JournalFeed::OfferSome() {
  const size_t drained = ring_.Drain(consumer_, kDrainEvents, [this](Frame* frame) {
    journal_.Offer(*frame);
    frame->Release();
    return true;
  });
  return drained == kDrainEvents;
}

void JournalFeed::CatchUp() {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  ring_.RaiseEnd(journal_.ceiling());
  for (size_t events = 0; events < kTurnEvents && OfferSome(); events += kDrainEvents) {
  }
}

void JournalFeed::CatchUpAll() {
  const std::lock_guard lock(mutex_);
  while (OfferSome()) {
  }
}

}  // namespace sluice
