// Who may publish, and see /stats: whoever has a key; and without a key file whoever is on this
// host and did not come through a proxy or from a page of another origin.
//
// Thread: pure.
#pragma once

#include <optional>
#include <string_view>

#include "http/fault.h"
#include "http/publish_keys.h"
#include "http/request_head.h"
#include "http/target.h"

namespace sluice::http {

// localhost, 127.0.0.0/8 or [::1], with any port or none.
bool IsLoopbackHost(std::string_view host);
// True if `origin` is http:// plus `host`, port 80 being the same as none.
bool IsOwnOrigin(std::string_view origin, std::string_view host);

// Nothing if the request may publish.
std::optional<Fault> CheckAuthority(const RequestHead& head, const Target& target,
                                    const PublishKeys& keys, bool keyless_publish,
                                    bool is_loopback_peer);

}  // namespace sluice::http
