// systemd's notification protocol (sd_notify(3), sd_watchdog_enabled(3)); without $NOTIFY_SOCKET nothing happens.
#pragma once
#include <cstdint>

namespace sanderling::tool {

// Sends one datagram, e.g. "READY=1"; a manager that doesn't listen is no error.
void notify(const char* state);
// How often the manager wants to hear "WATCHDOG=1", halved, in microseconds; 0: it doesn't.
std::uint64_t watchdog_interval();

}  // namespace sanderling::tool
