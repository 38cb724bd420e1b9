// Tells systemd (Type=notify) how the gateway is: one datagram to the socket it named at the start.
//
// The protocol is sd_notify(3)'s, written here because it is this one datagram: libsystemd would
// bring five libraries (compression, cryptography) into a process that uses none of them.
//
// Thread: any; each call is a socket of its own.
// Errors: without NOTIFY_SOCKET (not under systemd) nothing is done. A failure is returned for the
//         log and is no reason to stop: systemd's own timeout then says what it thinks.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace sluice {

// `state` is lines of KEY=VALUE.
Status NotifyService(std::string_view state);

inline constexpr std::string_view kServiceReady = "READY=1";
inline constexpr std::string_view kServiceStopping = "STOPPING=1";

// "STATUS=..." for `systemctl status`; line ends in `text` become blanks.
std::string ServiceStatus(std::string_view text);

}  // namespace sluice
