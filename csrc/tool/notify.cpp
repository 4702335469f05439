#include "tool/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace sanderling::tool {

void notify(const char* state) {
  const char* const name = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address = {};
  const std::size_t length = name == nullptr ? 0 : std::strlen(name);
  if (length < 2 || length >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name, length);
  if (name[0] == '@') address.sun_path[0] = '\0';  // the abstract namespace
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  ::sendto(fd, state, std::strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&address), size);
  ::close(fd);
}

std::uint64_t watchdog_interval() {
  const char* const wanted = std::getenv("WATCHDOG_USEC");
  if (wanted == nullptr || std::getenv("NOTIFY_SOCKET") == nullptr) return 0;
  const char* const process = std::getenv("WATCHDOG_PID");
  if (process != nullptr && std::strtoll(process, nullptr, 10) != static_cast<long long>(::getpid())) return 0;
  return std::strtoull(wanted, nullptr, 10) / 2;
}

}  // namespace sanderling::tool
