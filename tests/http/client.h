// One request after the other to a Site with recorded services: what the tests of answers ask with.
#pragma once

#include <string>
#include <string_view>

#include "http/site_fixture.h"

namespace sluice::http {

struct Client {
  explicit Client(const Options& options = {}) : fixture(options) {}

  std::string Ask(const std::string& line, const std::string& lines = "",
                  const std::string& body = "") {
    std::string request = line + " HTTP/1.1\r\nHost: localhost\r\n" + lines;
    if (line.starts_with("POST")) {
      request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    }
    const Talk talk = Converse(fixture.site, request + "\r\n" + body);
    next = talk.next;
    return talk.replies;
  }
  std::string Publish(const std::string& body, const std::string& lines = "",
                      const std::string& query = "") {
    return Ask("POST /broadcast" + query, lines, body);
  }

  SiteFixture fixture;
  Next next = Next::kReceive;
};

inline int Status(const std::string& replies) { return StatusesOf(replies).at(0); }
inline bool Has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}
inline std::string Body(const std::string& reply) {
  return reply.substr(reply.find("\r\n\r\n") + 4);
}

}  // namespace sluice::http
