// The server under load: where its streams and publishes are, as ready-made requests.
//
// Thread: a value, constant once parsed.
// Errors: kInvalidArgument for a URL that is none, kUnavailable for a name that does not resolve.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "socket_loop.h"

namespace sluice::bench {

struct Url {
  std::string host;       // as the Host header has it
  std::string authority;  // without the port, for resolving
  std::string port;
  std::string target;  // path and query
};
Status ParseUrl(std::string_view text, Url* url);
Status Resolve(const Url& url, Endpoint* endpoint);

// A request, a head or a body may have {topic} in it: see TopicTemplate.
struct Target {
  Endpoint stream;
  std::string stream_request;
  Endpoint publish;
  std::string publish_head;  // request line and headers, but Content-Length and the blank line
  std::string body_before;   // of the publish body, around the payload
  std::string body_after;

  bool is_loopback() const;  // an IPv4 loopback stream: source addresses may be chosen
};

Status MakeTarget(const std::string& stream_url, const std::string& publish_url,
                  const std::string& publish_body, const std::vector<std::string>& headers,
                  Target* target);

}  // namespace sluice::bench
