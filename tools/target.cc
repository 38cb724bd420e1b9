#include "target.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <cstring>

namespace sluice::bench {

Status ParseUrl(std::string_view text, Url* url) {
  constexpr std::string_view kScheme = "http://";
  if (!text.starts_with(kScheme)) {
    return Status::InvalidArgument("not a http:// URL: " + std::string(text));
  }
  std::string_view rest = text.substr(kScheme.size());
  const size_t slash = rest.find_first_of("/?");
  const std::string_view host = rest.substr(0, slash);
  url->target = slash == std::string_view::npos ? "/" : std::string(rest.substr(slash));
  if (url->target.starts_with('?')) url->target.insert(0, 1, '/');
  url->host = host;
  const size_t colon = host.rfind(':');
  const bool has_port = colon != std::string_view::npos && host.find(']', colon) == host.npos;
  url->port = has_port ? std::string(host.substr(colon + 1)) : "80";
  url->authority = std::string(has_port ? host.substr(0, colon) : host);
  if (url->authority.starts_with('[') && url->authority.ends_with(']')) {
    url->authority = url->authority.substr(1, url->authority.size() - 2);
  }
  if (url->authority.empty()) {
    return Status::InvalidArgument("no host in the URL: " + std::string(text));
  }
  return Status::Ok();
}

Status Resolve(const Url& url, Endpoint* endpoint) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(url.authority.c_str(), url.port.c_str(), &hints, &found);
  if (error != 0) {
    return Status::Unavailable("cannot resolve " + url.host + ": " + ::gai_strerror(error));
  }
  std::memcpy(&endpoint->address, found->ai_addr, found->ai_addrlen);
  endpoint->length = found->ai_addrlen;
  ::freeaddrinfo(found);
  return Status::Ok();
}

bool Target::is_loopback() const {
  if (stream.address.ss_family != AF_INET) return false;
  const auto& address = reinterpret_cast<const sockaddr_in&>(stream.address);
  return ntohl(address.sin_addr.s_addr) >> 24 == 127;
}

Status MakeTarget(const std::string& stream_url, const std::string& publish_url,
                  const std::string& publish_body, const std::vector<std::string>& headers,
                  Target* target) {
  std::string extra;
  bool has_content_type = false;
  for (const std::string& header : headers) {
    if (header.find(':') == std::string::npos || header.find('\n') != std::string::npos) {
      return Status::InvalidArgument("a header is \"Name: value\", not: " + header);
    }
    has_content_type |= strncasecmp(header.c_str(), "content-type:", 13) == 0;
    extra += header + "\r\n";
  }
  Url url;
  Status status = ParseUrl(stream_url, &url);
  if (status.ok()) status = Resolve(url, &target->stream);
  if (!status.ok()) return status;
  target->stream_request = "GET " + url.target + " HTTP/1.1\r\nHost: " + url.host +
                           "\r\nAccept: text/event-stream\r\n" + extra + "\r\n";
  if (publish_url.empty()) return Status::Ok();

  status = ParseUrl(publish_url, &url);
  if (status.ok()) status = Resolve(url, &target->publish);
  if (!status.ok()) return status;
  target->publish_head = "POST " + url.target + " HTTP/1.1\r\nHost: " + url.host + "\r\n" +
                         (has_content_type ? "" : "Content-Type: application/json\r\n") + extra;
  constexpr std::string_view kPlace = "{payload}";
  const size_t at = publish_body.find(kPlace);
  if (at == std::string::npos) {
    return Status::InvalidArgument("--publish-body has no {payload}: " + publish_body);
  }
  target->body_before = publish_body.substr(0, at);
  target->body_after = publish_body.substr(at + kPlace.size());
  return Status::Ok();
}

}  // namespace sluice::bench
