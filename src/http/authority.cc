#include "http/authority.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string>

namespace sluice::http {
namespace {

struct HostAndPort {
  std::string_view host;
  std::string_view port;
  bool is_valid = false;
};

HostAndPort SplitHost(std::string_view text) {
  HostAndPort parts;
  const size_t bracket = text.starts_with('[') ? text.find(']') : 0;
  if (bracket == std::string_view::npos) return parts;
  const size_t colon = text.find(':', bracket);
  parts.host = text.substr(0, colon);
  if (colon != std::string_view::npos) {
    parts.port = text.substr(colon + 1);
    if (parts.port.size() > 5 || parts.port.find_first_not_of("0123456789") != parts.port.npos) {
      return parts;
    }
  }
  if (parts.port.empty()) parts.port = "80";
  parts.is_valid = !parts.host.empty();
  return parts;
}

// 127.a.b.c in full: shorter and octal forms are read differently by different resolvers.
bool IsLoopbackV4(std::string_view host) {
  char text[INET_ADDRSTRLEN];
  in_addr address;
  if (host.size() >= sizeof(text)) return false;
  host.copy(text, host.size());
  text[host.size()] = '\0';
  return inet_pton(AF_INET, text, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

bool EqualHosts(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    const auto lower = [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    };
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

constexpr std::string_view kWayOut =
    "; to publish from elsewhere start the gateway with --publish-key-file and send "
    "Authorization: Bearer KEY";

Fault Forbidden(std::string_view why) {
  return {Refusal::kForbidden, std::string(why).append(kWayOut)};
}

std::optional<Fault> CheckKey(const RequestHead& head, const PublishKeys& keys) {
  constexpr std::string_view kScheme = "bearer ";
  if (!head.has_authorization || head.authorization.size() <= kScheme.size() ||
      !EqualsIgnoreCase(head.authorization.substr(0, kScheme.size()), kScheme)) {
    return Fault(Refusal::kKeyMissing,
                 "send the header Authorization: Bearer KEY, with a key of the gateway's key file");
  }
  std::string_view key = head.authorization.substr(kScheme.size());
  key.remove_prefix(std::min(key.find_first_not_of(' '), key.size()));
  if (keys.Matches(key)) return std::nullopt;
  return Fault(Refusal::kKeyWrong, "the key is none of the gateway's key file");
}

}  // namespace

bool IsLoopbackHost(std::string_view host) {
  const HostAndPort parts = SplitHost(host);
  return parts.is_valid && (EqualsIgnoreCase(parts.host, "localhost") || parts.host == "[::1]" ||
                            IsLoopbackV4(parts.host));
}

bool IsOwnOrigin(std::string_view origin, std::string_view host) {
  constexpr std::string_view kScheme = "http://";
  if (origin.size() <= kScheme.size() ||
      !EqualsIgnoreCase(origin.substr(0, kScheme.size()), kScheme)) {
    return false;
  }
  const HostAndPort theirs = SplitHost(origin.substr(kScheme.size()));
  const HostAndPort ours = SplitHost(host);
  return theirs.is_valid && ours.is_valid && theirs.port == ours.port &&
         EqualHosts(theirs.host, ours.host);
}

std::optional<Fault> CheckAuthority(const RequestHead& head, const Target& target,
                                    const PublishKeys& keys, bool keyless_publish,
                                    bool is_loopback_peer) {
  if (!keys.empty()) return CheckKey(head, keys);
  if (!keyless_publish) {
    return Forbidden("publishing without a key is switched off here (--keyless-publish off)");
  }
  if (!is_loopback_peer) {
    return Forbidden("without a key only connections from this host may publish");
  }
  if (head.is_forwarded) {
    return Forbidden("the request came through a proxy, which needs a key");
  }
  // A name that merely resolves to this host may be an attacker's (DNS rebinding).
  if (!IsLoopbackHost(head.host) || (target.is_absolute && !IsLoopbackHost(target.authority))) {
    return Forbidden("without a key the Host must be localhost, 127.0.0.1 or [::1]");
  }
  const std::string_view host = target.is_absolute ? target.authority : head.host;
  if (head.has_origin && !IsOwnOrigin(head.origin, host)) {
    return Forbidden("without a key a page of another origin may not publish");
  }
  return std::nullopt;
}

}  // namespace sluice::http
