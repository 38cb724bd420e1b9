#include "gateway/validation.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include "delivery/lag_policy.h"
#include "engine/listener.h"
#include "event/event.h"
#include "event/topic.h"
#include "gateway/option_value.h"
#include "http/publish_ack.h"

namespace sluice {
namespace {

Status Broken(const std::string& what) { return Status::InvalidArgument(what); }

std::string Sized(std::string_view name, uint64_t bytes) {
  return std::string(name) + " (" + FormatBytes(bytes) + ")";
}

std::string Timed(std::string_view name, uint64_t milliseconds) {
  return std::string(name) + " (" + FormatDuration(milliseconds) + ")";
}

Status ValidateBounds(const Options& o) {
  if (o.frame_bytes_max >= o.lag_bytes_max) {
    return Broken(Sized("event.frame_bytes_max", o.frame_bytes_max) + " must be below " +
                  Sized("lag.bytes_max", o.lag_bytes_max) +
                  ", or one event cuts off its readers; lower the first or raise the second");
  }
  if (o.lag_bytes_max >= o.log_bytes_max) {
    return Broken(Sized("lag.bytes_max", o.lag_bytes_max) + " must be below " +
                  Sized("log.bytes_max", o.log_bytes_max) +
                  ", or one slow reader fills a shard's logs; lower the first or raise the second");
  }
  if (o.frame_bytes_max > o.ring_bytes_max) {
    return Broken(Sized("event.frame_bytes_max", o.frame_bytes_max) + " must not be above " +
                  Sized("ring.bytes_max", o.ring_bytes_max) +
                  ", or the largest event never finds room; lower the first or raise the second");
  }
  if (o.segment_bytes > o.lag_bytes_max) {
    return Broken(Sized("log.segment_bytes", o.segment_bytes) + " must not be above " +
                  Sized("lag.bytes_max", o.lag_bytes_max) +
                  ", or a reader pins more than it may lag; lower the first or raise the second");
  }
  if ((o.ring_events_max & (o.ring_events_max - 1)) != 0) {
    uint64_t above = 2;
    while (above < o.ring_events_max) above *= 2;
    return Broken("ring.events_max (" + std::to_string(o.ring_events_max) +
                  ") must be a power of two, because a slot is found by masking; write " +
                  std::to_string(above / 2) + " or " + std::to_string(above));
  }
  if (o.target_bytes_max > o.header_bytes_max) {
    return Broken(Sized("http.target_bytes_max", o.target_bytes_max) + " must not be above " +
                  Sized("http.header_bytes_max", o.header_bytes_max) +
                  ", which the target counts toward; lower the first or raise the second");
  }
  return Status::Ok();
}

Status ValidateTimes(const Options& o) {
  if (o.lag_age_max_ms > o.user_timeout_ms) {
    return Broken(Timed("lag.age_max", o.lag_age_max_ms) + " must not be above " +
                  Timed("socket.user_timeout", o.user_timeout_ms) +
                  ", or the kernel cuts a slow reader before its bound does; lower the first or "
                  "raise the second");
  }
  if (o.retry_ms_min > o.retry_ms_max) {
    return Broken(Timed("stream.retry_min", o.retry_ms_min) + " must not be above " +
                  Timed("stream.retry_max", o.retry_ms_max) + "; exchange the two");
  }
  const uint64_t closing_ms = uint64_t{o.stop_delay_ms} + o.stop_spread_ms;
  if (closing_ms >= o.stop_timeout_ms) {
    return Broken(Timed("stop.timeout", o.stop_timeout_ms) +
                  " must be above stop.delay and stop.spread together (" +
                  FormatDuration(closing_ms) + "), or streams are cut without a goodbye; raise it");
  }
  return Status::Ok();
}

Status ValidateAck(const Options& o) {
  const auto ack = http::ParsePublishAck(o.publish_ack);
  if (ack && ack->needs_journal() && o.journal_directory.empty()) {
    return Broken("publish.ack (" + o.publish_ack +
                  ") waits for a journal, and there is none; name its directory "
                  "(journal.directory), or write memory");
  }
  if (ack) return Status::Ok();
  return Broken("publish.ack: \"" + o.publish_ack +
                "\" is no acknowledgement; write memory, written or synced, and perhaps matched, "
                "such as synced,matched");
}

Status ValidateAddresses(const Options& o) {
  if (o.listen.empty()) {
    return Broken("listen names no address; write one such as 0.0.0.0:8181");
  }
  std::set<std::string> seen;
  for (const auto* list : {&o.listen, &o.admin_listen}) {
    const char* name = list == &o.listen ? "listen" : "admin.listen";
    for (const std::string& text : *list) {
      ListenAddress address;
      if (Status s = ListenAddress::Parse(text, &address); !s.ok()) {
        return Broken(std::string(name) + ": " + s.message());
      }
      // Port 0 is a free port, another one each time.
      const bool is_any_port = address.family != AF_UNIX && address.port == 0;
      if (!is_any_port && !seen.insert(address.ToString()).second) {
        return Broken(std::string(name) + ": \"" + text +
                      "\" is listened on already; name each address once");
      }
    }
  }
  return Status::Ok();
}

Status ValidatePaths(const Options& o) {
  std::set<std::string_view> seen{"/", "/stats", "/topics", "/healthz", "/readyz", "/publish"};
  for (const auto* list : {&o.stream_paths, &o.broadcast_paths}) {
    const std::string name = list == &o.stream_paths ? "http.stream_paths" : "http.broadcast_paths";
    if (list->empty()) return Broken(name + " names no path; write at least one");
    for (const std::string& path : *list) {
      const bool is_plain =
          path.size() > 1 && path[0] == '/' &&
          std::all_of(path.begin(), path.end(), [](unsigned char c) {
            return c > ' ' && c < 127 && c != '?' && c != '#' && c != '"' && c != '\\';
          });
      if (!is_plain) {
        return Broken(name + ": \"" + path +
                      "\" is no path; write one that begins with / and has no ?, # or blank");
      }
      if (path.starts_with("/publish/") || path.starts_with("/deliveries/") ||
          !seen.insert(path).second) {
        return Broken(name + ": \"" + path + "\" is taken already; name each path once");
      }
    }
  }
  return Status::Ok();
}

Status ValidateOrigins(const Options& o) {
  for (const std::string& origin : o.cors_origins) {
    if (origin == "*") {
      if (o.cors_origins.size() == 1) continue;
      return Broken(
          "http.cors_origins: * stands beside other origins; write * alone (no "
          "credentials) or the list alone (with credentials)");
    }
    const size_t scheme = origin.find("://");
    const bool is_origin = scheme != std::string::npos && scheme > 0 &&
                           scheme + 3 < origin.size() &&
                           origin.find_first_of("/?#@, \"\r\n", scheme + 3) == std::string::npos;
    if (!is_origin) {
      return Broken("http.cors_origins: \"" + origin +
                    "\" is no origin; write scheme://host or scheme://host:port, without a path");
    }
  }
  return Status::Ok();
}

Status ValidateHistory(const Options& o) {
  if (o.history_missing != "earliest" && o.history_missing != "live") {
    return Broken("history.missing: \"" + o.history_missing +
                  "\" is no place; write earliest or live");
  }
  for (const HistoryPolicyOptions& policy : o.history_policies) {
    if (const auto fault = CheckTopicPattern(policy.topics)) {
      return Broken("history.policy: topics " + fault->Describe(policy.topics) +
                    "; write a pattern such as news/**");
    }
  }
  return Status::Ok();
}

Status ValidateJournal(const Options& o) {
  if (o.journal_directory.empty()) return Status::Ok();
  // A record is an event with its topics and key.
  const uint64_t record_bytes_max =
      o.frame_bytes_max + uint64_t{o.topics_per_event_max} * (kTopicBytesMax + sizeof(uint16_t)) +
      kEventKeyBytesMax + kPublisherIdBytesMax;
  if (record_bytes_max >= o.journal_queue_bytes_max) {
    return Broken(Sized("event.frame_bytes_max", o.frame_bytes_max) +
                  " and the event's topics must be below " +
                  Sized("journal.queue_bytes_max", o.journal_queue_bytes_max) +
                  ", or the largest event is never kept; lower the first or raise the second");
  }
  return Status::Ok();
}

Status ValidateLagBounds(const Options& o, const LagPolicyOptions& policy) {
  const std::string of = "lag.policy of " + policy.topics + ": ";
  const uint64_t bytes_max = policy.bytes_max.value_or(o.lag_bytes_max);
  if (o.frame_bytes_max >= bytes_max) {
    return Broken(of + Sized("event.frame_bytes_max", o.frame_bytes_max) + " must be below " +
                  Sized("bytes_max", bytes_max) +
                  ", or one event is more than its readers may lag; lower the first or raise the "
                  "second");
  }
  if (bytes_max >= o.log_bytes_max) {
    return Broken(of + Sized("bytes_max", bytes_max) + " must be below " +
                  Sized("log.bytes_max", o.log_bytes_max) +
                  ", or one slow reader fills a shard's logs; lower the first or raise the second");
  }
  const uint64_t age_max_ms = policy.age_max_ms.value_or(o.lag_age_max_ms);
  if (age_max_ms > o.user_timeout_ms) {
    return Broken(of + Timed("age_max", age_max_ms) + " must not be above " +
                  Timed("socket.user_timeout", o.user_timeout_ms) +
                  ", or the kernel cuts a slow reader before its bound does; lower the first or "
                  "raise the second");
  }
  return Status::Ok();
}

// Only if there can be one.
Status ValidateTable(const Options& o) {
  const bool conflates =
      o.lag_policy == Word(LagAction::kConflate) ||
      std::any_of(o.lag_policies.begin(), o.lag_policies.end(),
                  [](auto& policy) { return policy.policy == Word(LagAction::kConflate); });
  const bool fits =
      o.frame_bytes_max < o.lag_table_bytes_max && o.lag_table_bytes_max < o.log_bytes_max;
  if (!conflates || fits) return Status::Ok();
  return Broken(Sized("lag.table_bytes_max", o.lag_table_bytes_max) + " must be above " +
                Sized("event.frame_bytes_max", o.frame_bytes_max) + " and below " +
                Sized("log.bytes_max", o.log_bytes_max) +
                ", or one event, or one table, is more than there is room for");
}

Status ValidateLag(const Options& o) {
  const auto no_policy = [](std::string_view name, const std::string& word) {
    return Broken(std::string(name) + ": \"" + word +
                  "\" is no policy; write disconnect, skip or conflate");
  };
  if (!ParseLagAction(o.lag_policy)) return no_policy("lag.policy", o.lag_policy);
  if (o.lag_policies.size() > kLagPoliciesMax) {
    return Broken("lag.policy: " + std::to_string(o.lag_policies.size()) +
                  " are listed; write at most " + std::to_string(kLagPoliciesMax));
  }
  for (const LagPolicyOptions& policy : o.lag_policies) {
    if (const auto fault = CheckTopicPattern(policy.topics)) {
      return Broken("lag.policy: topics " + fault->Describe(policy.topics) +
                    "; write a pattern such as prices/**");
    }
    if (!ParseLagAction(policy.policy)) {
      return no_policy("lag.policy of " + policy.topics, policy.policy);
    }
    if (Status s = ValidateLagBounds(o, policy); !s.ok()) return s;
  }
  return ValidateTable(o);
}

Status ValidateWords(const Options& o) {
  constexpr std::string_view kLevels[] = {"trace", "debug", "info", "warn", "error"};
  if (std::find(std::begin(kLevels), std::end(kLevels), o.log_level) == std::end(kLevels)) {
    return Broken("log_level: \"" + o.log_level +
                  "\" is no level; write trace, debug, info, warn or error");
  }
  return Status::Ok();
}

}  // namespace

Status Validate(const Options& options) {
  for (const auto& validate :
       {ValidateBounds, ValidateTimes, ValidateAck, ValidateAddresses, ValidatePaths,
        ValidateOrigins, ValidateHistory, ValidateJournal, ValidateLag, ValidateWords}) {
    if (Status s = validate(options); !s.ok()) return s;
  }
  return Status::Ok();
}

}  // namespace sluice
