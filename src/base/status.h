// The one result of an operation that can fail for a reason outside the program.
//
// Thread: a value; no shared state.
// Errors: kOk is the only success. `message()` is one line for a person: what failed, why, and what
//         to do about it. A broken invariant is no Status: it is SLUICE_CHECK (check.h).
#pragma once

#include <string>
#include <utility>

namespace sluice {

enum class StatusCode {
  kOk,
  kInvalidArgument,  // the caller's input is wrong: an option, a file's content, a request
  kUnavailable,      // the host cannot do it now: a port in use, out of descriptors, disk full
  kUnsupported,      // the kernel or this build lacks it
  kInternal,         // none of the above: a bug of ours
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  static Status Ok() { return {}; }
  static Status InvalidArgument(std::string message) {
    return {StatusCode::kInvalidArgument, std::move(message)};
  }
  static Status Unavailable(std::string message) {
    return {StatusCode::kUnavailable, std::move(message)};
  }
  static Status Unsupported(std::string message) {
    return {StatusCode::kUnsupported, std::move(message)};
  }
  static Status Internal(std::string message) {
    return {StatusCode::kInternal, std::move(message)};
  }

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

}  // namespace sluice
