#include "http/fault.h"

namespace sluice::http {

std::string_view Explanation(Refusal refusal) {
  switch (refusal) {
    case Refusal::kInvalidJson:
      return "cant parse request";
    case Refusal::kInvalidUtf8:
      return "the body is not UTF-8";
    case Refusal::kInvalidEventName:
      return "this event name cannot be used";
    case Refusal::kInvalidParameter:
      return "a query parameter is wrong";
    case Refusal::kBadRequest:
      return "the request is malformed or ambiguous";
    case Refusal::kKeyMissing:
      return "a publish key is needed";
    case Refusal::kKeyWrong:
      return "the publish key is wrong";
    case Refusal::kForbidden:
      return "not allowed from here without a key";
    case Refusal::kNotFound:
      return "there is nothing at this path";
    case Refusal::kMethodNotAllowed:
      return "this path does not take this method";
    case Refusal::kRequestTimeout:
      return "the request took too long to arrive";
    case Refusal::kLengthRequired:
      return "the length of the body is needed";
    case Refusal::kBodyTooLarge:
      return "the body is too large";
    case Refusal::kFrameTooLarge:
      return "the encoded event is too large";
    case Refusal::kTargetTooLong:
      return "the request target is too long";
    case Refusal::kUnsupportedMediaType:
      return "this kind of body is not taken";
    case Refusal::kExpectationFailed:
      return "this expectation cannot be met";
    case Refusal::kHeaderTooLarge:
      return "the header is too large";
    case Refusal::kHttpVersion:
      return "this version of HTTP is not spoken here";
    case Refusal::kNotImplemented:
      return "this is not implemented";
    case Refusal::kRingFull:
      return "the gateway is busy, come back in a moment";
    case Refusal::kSubscribersFull:
      return "no more subscribers can be taken now";
    case Refusal::kDraining:
      return "the gateway is stopping, come back in a moment";
    case Refusal::kStarting:
      return "the gateway is starting, come back in a moment";
    case Refusal::kInvalidTopic:
      return "this is no topic";
    case Refusal::kInvalidEvent:
      return "this is no event";
    case Refusal::kInvalidIdempotencyKey:
      return "this idempotency key cannot be used";
    case Refusal::kIdempotencyKeyReused:
      return "this idempotency key was used for another publish";
    case Refusal::kBatchTooLarge:
      return "these events are too many for one publish";
    case Refusal::kJournalUnavailable:
      return "the journal cannot keep events now, come back in a moment";
    case Refusal::kAckTimeout:
      return "accepted, but not acknowledged in time";
    case Refusal::kAckLost:
      return "accepted, but not kept by the journal";
    case Refusal::kLedgerForgotten:
      return "what became of this event is not known any more";
  }
  return "refused";
}

}  // namespace sluice::http
