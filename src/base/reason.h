// Why a request was refused, or a connection ended: the stable `error` word of the reply's envelope
// and of `sluice.error`, and at once the label under which /stats counts it.
//
// A word is never renamed: monitors and clients match on it. A new one goes to the end of its list.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice {

// X(enumerator, word, HTTP status)
#define SLUICE_REFUSALS(X)                                  \
  X(kInvalidJson, "invalid_json", 400)                      \
  X(kInvalidUtf8, "invalid_utf8", 400)                      \
  X(kInvalidEventName, "invalid_event_name", 400)           \
  X(kInvalidParameter, "invalid_parameter", 400)            \
  X(kBadRequest, "bad_request", 400)                        \
  X(kKeyMissing, "key_missing", 401)                        \
  X(kKeyWrong, "key_wrong", 401)                            \
  X(kForbidden, "forbidden", 403)                           \
  X(kNotFound, "not_found", 404)                            \
  X(kMethodNotAllowed, "method_not_allowed", 405)           \
  X(kRequestTimeout, "request_timeout", 408)                \
  X(kLengthRequired, "length_required", 411)                \
  X(kBodyTooLarge, "body_too_large", 413)                   \
  X(kFrameTooLarge, "frame_too_large", 413)                 \
  X(kTargetTooLong, "target_too_long", 414)                 \
  X(kUnsupportedMediaType, "unsupported_media_type", 415)   \
  X(kExpectationFailed, "expectation_failed", 417)          \
  X(kHeaderTooLarge, "header_too_large", 431)               \
  X(kHttpVersion, "http_version", 505)                      \
  X(kNotImplemented, "not_implemented", 501)                \
  X(kRingFull, "ring_full", 503)                            \
  X(kSubscribersFull, "subscribers_full", 503)              \
  X(kDraining, "draining", 503)                             \
  X(kStarting, "starting", 503)                             \
  X(kInvalidTopic, "invalid_topic", 400)                    \
  X(kInvalidEvent, "invalid_event", 400)                    \
  X(kInvalidIdempotencyKey, "invalid_idempotency_key", 400) \
  X(kIdempotencyKeyReused, "idempotency_key_reused", 422)   \
  X(kBatchTooLarge, "batch_too_large", 413)                 \
  X(kJournalUnavailable, "journal_unavailable", 503)        \
  X(kAckTimeout, "ack_timeout", 503)                        \
  X(kAckLost, "ack_lost", 503)                              \
  X(kLedgerForgotten, "ledger_forgotten", 404)

enum class Refusal : uint8_t {
#define X(enumerator, word, status) enumerator,
  SLUICE_REFUSALS(X)
#undef X
};

struct RefusalFacts {
  std::string_view word;
  int status;
};

inline constexpr RefusalFacts kRefusalFacts[] = {
#define X(enumerator, word, status) {word, status},
    SLUICE_REFUSALS(X)
#undef X
};
inline constexpr size_t kRefusalCount = sizeof(kRefusalFacts) / sizeof(kRefusalFacts[0]);

inline constexpr std::string_view Word(Refusal refusal) {
  return kRefusalFacts[static_cast<size_t>(refusal)].word;
}
inline constexpr int HttpStatus(Refusal refusal) {
  return kRefusalFacts[static_cast<size_t>(refusal)].status;
}

// Why a stream ended. X(enumerator, word)
#define SLUICE_DISCONNECTS(X)                                                           \
  X(kPeerClosed, "peer_closed")      /* FIN or hang-up seen */                          \
  X(kPeerReset, "peer_reset")        /* RST, or a send failed with an error */          \
  X(kPeerTimedOut, "peer_timed_out") /* TCP_USER_TIMEOUT: the host is gone */           \
  X(kLagBytes, "lag_bytes")          /* fell behind by more than lag.bytes_max */       \
  X(kLagEvents, "lag_events")        /* ... lag.events_max */                           \
  X(kLagAge, "lag_age")              /* ... lag.age_max */                              \
  X(kLogBudget, "log_budget")        /* furthest behind when the log budget was full */ \
  X(kStreamAge, "stream_age")        /* reached max_stream_age */                       \
  X(kDraining, "draining")           /* the gateway is stopping */                      \
  X(kAsideTimeout, "aside_timeout")  /* took no bytes of its head or goodbye in time */

enum class Disconnect : uint8_t {
#define X(enumerator, word) enumerator,
  SLUICE_DISCONNECTS(X)
#undef X
};

inline constexpr std::string_view kDisconnectWords[] = {
#define X(enumerator, word) word,
    SLUICE_DISCONNECTS(X)
#undef X
};
inline constexpr size_t kDisconnectCount = sizeof(kDisconnectWords) / sizeof(kDisconnectWords[0]);

inline constexpr std::string_view Word(Disconnect disconnect) {
  return kDisconnectWords[static_cast<size_t>(disconnect)];
}

// Why a subscriber that an event was matched with did not get it. X(enumerator, word)
#define SLUICE_LOSSES(X)                                                                         \
  SLUICE_DISCONNECTS(X)                                                                          \
  X(kEvicted, "evicted")     /* gone from the history before a reader that replays came to it */ \
  X(kSkipped, "skipped")     /* the reader skipped to a newer one, and was told so */            \
  X(kConflated, "conflated") /* left to the newest event of its key, and not yet taken from it */

// As Disconnect, number for number, and those that end no stream.
enum class Loss : uint8_t {
#define X(enumerator, word) enumerator,
  SLUICE_LOSSES(X)
#undef X
};

inline constexpr std::string_view kLossWords[] = {
#define X(enumerator, word) word,
    SLUICE_LOSSES(X)
#undef X
};
inline constexpr size_t kLossCount = sizeof(kLossWords) / sizeof(kLossWords[0]);

inline constexpr Loss LossBy(Disconnect disconnect) { return static_cast<Loss>(disconnect); }
inline constexpr std::string_view Word(Loss loss) { return kLossWords[static_cast<size_t>(loss)]; }

}  // namespace sluice
