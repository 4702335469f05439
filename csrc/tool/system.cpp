#include "tool/system.h"

#include <fcntl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "tool/notify.h"

namespace sanderling::tool {
namespace {

volatile sig_atomic_t interrupted = 0, hung_up = 0;
sigset_t normal_mask, mask_before;

void on_signal(int) { interrupted = 1; }
void on_hangup(int) { hung_up = 1; }
void on_child(int) {}  // it only ends a wait

}  // namespace

void system_error(Error* error, Status status, const char* wanted, const std::string& path) {
  error->status = status;
  std::snprintf(error->message, sizeof error->message, "%.300s: expected %s, found: %s; check the path, rights and space",
                path.c_str(), wanted, std::strerror(errno));
}

void hold_standard_streams() {
  constexpr int kUnusable[] = {O_WRONLY, O_RDONLY, O_RDONLY};
  for (int fd = 0; fd < 3; ++fd)
    if (::fcntl(fd, F_GETFD) == -1 && ::open("/dev/null", kUnusable[fd]) < 0) return;
}

void install_signals() {
  // Blocked except while waiting for input: no signal can slip in between the check and the wait.
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGINT);
  sigaddset(&blocked, SIGTERM);
  sigprocmask(SIG_BLOCK, &blocked, &normal_mask);
  mask_before = normal_mask;
  sigdelset(&normal_mask, SIGINT);
  sigdelset(&normal_mask, SIGTERM);
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
}

void install_live_signals() {
  constexpr struct {
    int number;
    void (*handler)(int);
  } kMore[] = {{SIGHUP, on_hangup}, {SIGCHLD, on_child}};
  for (const auto& more : kMore) {
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, more.number);
    sigprocmask(SIG_BLOCK, &blocked, nullptr);
    sigdelset(&normal_mask, more.number);
    struct sigaction action = {};
    action.sa_handler = more.handler;
    sigaction(more.number, &action, nullptr);
  }
}

bool stop_requested() { return interrupted != 0; }

bool take_hangup() {
  const bool came = hung_up != 0;
  hung_up = 0;
  return came;
}

const sigset_t& inherited_mask() { return mask_before; }

std::int64_t monotonic_ns() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

void wait_ready(pollfd* descriptors, std::size_t n, std::int64_t timeout_ns) {
  timespec wait = {};
  wait.tv_sec = static_cast<time_t>(timeout_ns / 1000000000);
  wait.tv_nsec = static_cast<long>(timeout_ns % 1000000000);
  if (::ppoll(descriptors, n, timeout_ns < 0 ? nullptr : &wait, &normal_mask) >= 0) return;
  for (std::size_t i = 0; i < n; ++i) descriptors[i].revents = 0;
}

int report(const Error& error) {
  std::fprintf(stderr, "sanderling-run: %s\n", error.message);
  return 2;
}

bool readable_file(const std::string& path, Error* error) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0 || ::access(path.c_str(), R_OK) != 0)
    return system_error(error, Status::argument, "a readable file", path), false;
  if (S_ISDIR(info.st_mode)) {
    errno = EISDIR;
    return system_error(error, Status::argument, "a readable file", path), false;
  }
  return true;
}

Input::~Input() {
  if (fd_ > 0) ::close(fd_);
}

bool Input::open(const std::string& path, Error* error) {
  watchdog_us_ = watchdog_interval();
  if (path == "-") return fd_ = 0, true;
  if (!readable_file(path, error)) return false;
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) system_error(error, Status::io, "to open it", path);
  return fd_ >= 0;
}

Input::Read Input::read(char* buffer, std::size_t capacity, std::size_t* size, Error* error) {
  for (;;) {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd_, &set);
    timespec wait = {};
    wait.tv_sec = static_cast<time_t>(watchdog_us_ / 1000000);
    wait.tv_nsec = static_cast<long>(watchdog_us_ % 1000000 * 1000);
    if (watchdog_us_ > 0) notify("WATCHDOG=1");
    const int ready = ::pselect(fd_ + 1, &set, nullptr, nullptr, watchdog_us_ > 0 ? &wait : nullptr, &normal_mask);
    if (interrupted) return Read::interrupted;
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    const ssize_t got = ready < 0 ? -1 : ::read(fd_, buffer, capacity);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return system_error(error, Status::io, "to read samples", "input"), Read::failed;
    *size = static_cast<std::size_t>(got);
    return got == 0 ? Read::end : Read::data;
  }
}

Output::~Output() { abandon(); }

void Output::abandon() {
  if (fd_ > 1) ::close(fd_);
  fd_ = -1;
  pending_.clear();
}

bool Output::create(const std::string& path, Error* error) {
  path_ = path;
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) system_error(error, Status::io, "to create it", path);
  return fd_ >= 0;
}

bool Output::flush(Error* error) {
  std::size_t done = 0;
  while (done < pending_.size()) {
    const ssize_t put = ::write(fd_, pending_.data() + done, pending_.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      broken_ = errno == EPIPE;
      return system_error(error, Status::io, "to write", path_), false;
    }
    done += static_cast<std::size_t>(put);
  }
  pending_.clear();
  return true;
}

bool Output::close(Error* error) {
  if (!flush(error)) return false;
  const int fd = fd_;
  fd_ = -1;
  if (fd <= 1 || ::close(fd) == 0) return true;
  return system_error(error, Status::io, "to write", path_), false;
}

}  // namespace sanderling::tool
