// The gateway, for programs that embed it: `sluice` itself is a command line around this.
//
//   sluice::Options options;
//   std::unique_ptr<sluice::Gateway> gateway;
//   sluice::Status status = sluice::Gateway::Start(options, &gateway);
//   gateway->Publish({.data = "{\"price\":1}"}, &id);
//   gateway->Stop();
//
// Thread: Start and Stop by one thread; Publish, Stats and the numbers by any.
// Errors: Start's Status is one line that says what, why and what to do.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "sluice/options.h"

namespace sluice {

class Gateway {
 public:
  // Validates the options, plans for this host, binds, starts the shards, and returns when all of
  // them serve.
  static Status Start(const Options& options, std::unique_ptr<Gateway>* gateway);
  // Cuts off what Stop has not ended.
  virtual ~Gateway() = default;

  struct EventToPublish {
    std::string_view data;  // UTF-8
    std::string_view type;  // `event:`; empty for none
  };
  // kUnavailable when the ring is full (try again) or the gateway stops; kInvalidArgument for a
  // type or data that cannot be an event, or one too large. `*id` is the event's.
  virtual Status Publish(const EventToPublish& event, std::string* id) = 0;

  // Goes on serving for stop.delay while /readyz says no, then ends the streams over stop.spread,
  // each with a goodbye, and returns when all are closed or stop.timeout has passed. False if it
  // had to cut connections off.
  virtual bool Stop() = 0;

  // Where it listens, ports as bound.
  virtual std::vector<std::string> addresses() const = 0;
  virtual std::string engine_name() const = 0;
  virtual uint32_t shards() const = 0;
  virtual uint64_t subscribers() const = 0;
  // The JSON of GET /stats.
  virtual std::string Stats(bool pretty) const = 0;
  // Lines about what the start found: to be logged once.
  virtual std::vector<std::string> StartNotes() const = 0;
  // Lines about what went wrong since the last call, each kind at most once a minute: to be logged.
  virtual std::vector<std::string> Warnings() = 0;
};

}  // namespace sluice
