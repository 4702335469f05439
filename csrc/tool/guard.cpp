// Runs a detector under watch, where there is no systemd: the program says that it lives by systemd's protocol (sd_notify), and
// only while it does is the hardware told that the board lives.
#include <fcntl.h>
#include <linux/watchdog.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tool/tool.h"

namespace sanderling::tool {
namespace {

constexpr int kHardwareSeconds = 15;  // the most that the Raspberry's can count
constexpr int kLook = 1000;           // milliseconds between two looks

constexpr char kUsage[] = "guard: expected [--watchdog DEVICE] [--limit SECONDS] -- PROGRAM [ARGUMENTS], found another; see docs/flash.md";

volatile sig_atomic_t asked_to_end = 0;
void end(int) { asked_to_end = 1; }

struct Guard {
  const char* watchdog = nullptr;
  long limit_s = 30;
  char** program = nullptr;
};

int fail(const char* what) {
  std::fprintf(stderr, "sanderling-run: %s\n", what);
  return 2;
}

bool parse(int argc, char** argv, Guard* guard) {
  int i = 0;
  for (; i + 1 < argc && std::strcmp(argv[i], "--") != 0; i += 2) {
    char* rest = nullptr;
    if (std::strcmp(argv[i], "--watchdog") == 0) {
      guard->watchdog = argv[i + 1];
    } else if (std::strcmp(argv[i], "--limit") == 0) {
      guard->limit_s = std::strtol(argv[i + 1], &rest, 10);
      if (*rest != '\0' || guard->limit_s < 1 || guard->limit_s > 86400) return false;
    } else {
      return false;
    }
  }
  guard->program = argv + i + 1;
  return i + 1 < argc && std::strcmp(argv[i], "--") == 0;
}

// A socket in the abstract namespace, whose name goes to the program.
int open_socket() {
  const std::string name = "@sanderling-guard-" + std::to_string(::getpid());
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.data(), name.size());
  address.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  if (fd < 0 || ::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0) return -1;
  ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  return fd;
}

bool heard(int fd) {
  char text[4096];
  bool alive = false;
  for (ssize_t got; (got = ::recv(fd, text, sizeof text - 1, 0)) > 0;) {
    text[got] = '\0';
    alive |= std::strstr(text, "WATCHDOG=1") != nullptr || std::strstr(text, "READY=1") != nullptr;
  }
  return alive;
}

long now_s() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<long>(now.tv_sec);
}

pid_t start(char** program) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::execvp(program[0], program);
  std::fprintf(stderr, "sanderling-run: guard: expected to start %s, found: %s; check the path\n", program[0], std::strerror(errno));
  ::_exit(127);
}

int status_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

}  // namespace

int run_guard(int argc, char** argv) {
  Guard guard;
  if (!parse(argc, argv, &guard)) return fail(kUsage);
  const int socket = open_socket();
  if (socket < 0) return fail("guard: expected a socket for the program's signs of life, found none to be had; check the limits");
  ::setenv("WATCHDOG_USEC", std::to_string(guard.limit_s * 1000000).c_str(), 1);
  ::unsetenv("WATCHDOG_PID");
  const int hardware = guard.watchdog == nullptr ? -1 : ::open(guard.watchdog, O_WRONLY | O_CLOEXEC);
  int seconds = kHardwareSeconds;
  if (hardware >= 0) ::ioctl(hardware, WDIOC_SETTIMEOUT, &seconds);  // one that can't be set counts its own time
  struct sigaction action = {};
  action.sa_handler = end;
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  const pid_t child = start(guard.program);
  if (child < 0) return fail("guard: expected to start a process, found no more to be had; check the limits");
  bool told = false;
  for (long last = now_s();;) {
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) == child) return status_of(status);
    if (asked_to_end && !told) told = ::kill(child, SIGTERM) == 0;
    if (heard(socket)) last = now_s();
    if (now_s() - last > guard.limit_s) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      std::fprintf(stderr, "sanderling-run: guard: expected a sign of life within %ld s, found none; ended it\n", guard.limit_s);
      return 1;
    }
    if (hardware >= 0 && ::write(hardware, "", 1) < 0 && errno != EINTR) return fail("guard: the watchdog can't be written to");
    pollfd look = {socket, POLLIN, 0};
    ::poll(&look, 1, kLook);
  }
}

}  // namespace sanderling::tool
