// The entry points that outside bytes reach, each with the properties that must hold for any bytes.
// Used twice: by the libFuzzer targets beside this file, and by a short seeded run in http_test.
// A property that fails ends the program (SLUICE_CHECK), so that either runner sees it.
#pragma once

#include <llhttp.h>
#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "event/topic.h"
#include "http/chunked_body.h"
#include "http/event_fields.h"
#include "http/event_reader.h"
#include "http/json_text.h"
#include "http/request_vectors.h"
#include "http/site_fixture.h"

namespace sluice::http {

// Places to cut `bytes`, drawn from `seed` alone.
inline std::vector<size_t> CutsFrom(uint64_t seed, size_t bytes) {
  std::vector<size_t> cuts;
  for (size_t at = 0; bytes > 1;) {
    seed = seed * 6'364'136'223'846'793'005u + 1'442'695'040'888'963'407u;
    at += 1 + (seed >> 33) % 40;
    if (at >= bytes) break;
    cuts.push_back(at);
  }
  return cuts;
}

// Any split gives the same replies and the same publishes, and all replies can be read back.
inline void CheckSession(std::string_view bytes, uint64_t seed) {
  SiteFixture whole(VectorOptions());
  SiteFixture split(VectorOptions());
  // Some find the ring full at first: lines wait for room, all else is refused.
  whole.services.full_for = split.services.full_for = seed % 3 == 0 ? 2 : 0;
  const Talk expected = Converse(whole.site, bytes);
  SLUICE_CHECK(Converse(split.site, bytes, CutsFrom(seed, bytes.size())) == expected);
  SLUICE_CHECK(split.services.published == whole.services.published);
  SLUICE_CHECK(split.services.told == whole.services.told);
  for (const StreamRequest& stream : whole.services.streams) {
    for (const std::string& pattern : stream.subscription.patterns()) {
      SLUICE_CHECK(!CheckTopicPattern(pattern));
    }
  }
  SLUICE_CHECK(expected.replies.empty() || expected.replies.starts_with("HTTP/1.1 "));
  for (const auto& [type, data] : whole.services.published) {
    SLUICE_CHECK(type.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
    SLUICE_CHECK(!FindInvalidUtf8(type) && !FindInvalidUtf8(data));
  }
}

// What we take as a chunked body llhttp takes too, as the same bytes and of the same length: a
// proxy before us that reads it strictly sees the next request begin where we do.
inline void CheckChunked(std::string_view bytes, uint64_t seed) {
  ChunkedBody ours;
  std::string body;
  ours.Begin(1 << 20);
  size_t used = 0;
  for (const size_t cut : CutsFrom(seed, bytes.size())) {
    used += ours.Take(bytes.substr(used, cut - used), &body);
  }
  used += ours.Take(bytes.substr(used), &body);
  if (!ours.is_done()) return;
  SLUICE_CHECK(!ours.fault().has_value());

  struct Theirs {
    std::string body;
    bool is_complete = false;
  } theirs;
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_body = [](llhttp_t* parser, const char* at, size_t length) {
    static_cast<Theirs*>(parser->data)->body.append(at, length);
    return 0;
  };
  settings.on_message_complete = [](llhttp_t* parser) {
    static_cast<Theirs*>(parser->data)->is_complete = true;
    return static_cast<int>(HPE_PAUSED);
  };
  llhttp_t parser;
  llhttp_init(&parser, HTTP_REQUEST, &settings);
  parser.data = &theirs;
  constexpr std::string_view kHead = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  SLUICE_CHECK(llhttp_execute(&parser, kHead.data(), kHead.size()) == HPE_OK);
  const llhttp_errno_t error = llhttp_execute(&parser, bytes.data(), used);
  // llhttp is stricter than we are about what a trailer holds, and refuses good extensions besides
  // ("1;a=b;c"). What it refuses reaches nobody; what it takes must be what we took.
  const bool has_extension = bytes.substr(0, used).find(';') != std::string_view::npos;
  const bool refuses_trailer =
      error == HPE_INVALID_HEADER_TOKEN || error == HPE_UNEXPECTED_CONTENT_LENGTH ||
      error == HPE_INVALID_CONTENT_LENGTH || error == HPE_INVALID_TRANSFER_ENCODING;
  if (refuses_trailer || (has_extension && error != HPE_PAUSED)) return;
  SLUICE_CHECK(error == HPE_PAUSED && theirs.is_complete);
  SLUICE_CHECK(theirs.body == body);
}

// What simdjson's DOM takes is JSON; what it refuses and we take has a number or a surrogate in it
// that it cannot hold, or is deeper than it goes.
inline void CheckJsonText(std::string_view bytes) {
  static simdjson::dom::parser dom;
  const std::string text(bytes);
  const auto error = dom.parse(text).error();
  const auto fault = CheckJson(text, kJsonDepthCeiling);
  if (fault) {
    SLUICE_CHECK(error != simdjson::SUCCESS);
    SLUICE_CHECK(fault->offset <= text.size());
  } else {
    SLUICE_CHECK(error == simdjson::SUCCESS || error == simdjson::NUMBER_ERROR ||
                 error == simdjson::STRING_ERROR || error == simdjson::DEPTH_ERROR);
  }
}

// Whatever is read as events can be sent, and is what simdjson's DOM finds there too.
inline void CheckEvents(std::string_view bytes) {
  static EventReader reader{Options{}};
  const std::string text(bytes);
  const auto fault = reader.Read(text, {});
  if (fault) {
    SLUICE_CHECK(reader.events().empty() && !fault->detail.empty());
    return;
  }
  SLUICE_CHECK(!CheckJson(text, Options{}.json_depth_max) && !reader.events().empty());
  static simdjson::dom::parser dom;
  simdjson::dom::element root;
  const bool has_dom = dom.parse(text).get(root) == simdjson::SUCCESS;
  simdjson::dom::array array;
  const bool is_array = has_dom && root.get(array) == simdjson::SUCCESS;
  SLUICE_CHECK(!has_dom || is_array == reader.is_array());
  SLUICE_CHECK(!is_array || array.size() == reader.events().size());
  size_t index = 0;
  for (const Event& event : reader.events()) {
    SLUICE_CHECK(event.id.empty() || IsPublisherId(event.id));
    SLUICE_CHECK(event.key.empty() || IsEventKey(event.key));
    SLUICE_CHECK(event.retry_ms == 0 || IsEventRetry(event.retry_ms));
    SLUICE_CHECK(!CheckEventName(event.type) && !FindInvalidUtf8(event.data));
    for (const std::string_view topic : event.topics) SLUICE_CHECK(!CheckTopicName(topic));
    if (!has_dom) continue;
    const simdjson::dom::element element = is_array ? array.at(index++).value_unsafe() : root;
    simdjson::dom::element data;
    SLUICE_CHECK(element["data"].get(data) == simdjson::SUCCESS);
    std::string_view string;
    if (data.get(string) == simdjson::SUCCESS) {
      SLUICE_CHECK(event.data == string);
    } else {
      static simdjson::dom::parser other;
      simdjson::dom::element again;
      SLUICE_CHECK(other.parse(std::string(event.data)).get(again) == simdjson::SUCCESS);
      SLUICE_CHECK(simdjson::minify(again) == simdjson::minify(data));
    }
  }
}

}  // namespace sluice::http
