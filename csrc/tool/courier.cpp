#include "tool/courier.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "tool/system.h"

extern char** environ;

namespace sanderling::tool {
namespace {

constexpr std::int64_t kPatience = 60'000'000'000;  // of a command that hangs

}  // namespace

Backoff::Backoff(double first_s) : first_ns_(first_s * 1e9), random_(0) {
  if (::getrandom(&random_, sizeof random_, GRND_NONBLOCK) != sizeof random_) random_ = static_cast<std::uint64_t>(monotonic_ns());
}

std::int64_t Backoff::next_ns() {
  const double whole = first_ns_ * std::pow(2.0, static_cast<double>(std::min<std::uint64_t>(failures_++, 6)));
  random_ = random_ * 6364136223846793005u + 1442695040888963407u;
  return static_cast<std::int64_t>(whole * (0.5 + 0.5 * static_cast<double>(random_ >> 11) * 0x1p-53));
}

Courier::~Courier() {
  // The alarm stays in the spool and goes out again at the next start.
  if (child_ <= 0) return;
  ::kill(child_, SIGKILL);
  ::waitpid(child_, nullptr, 0);
}

bool Courier::step(std::int64_t now, std::string* why) {
  if (child_ > 0) {
    int status = 0;
    if (::waitpid(child_, &status, WNOHANG) == 0) {
      if (now < deadline_ || killed_) return false;
      killed_ = true;
      ::kill(child_, SIGKILL);
      return false;
    }
    child_ = -1;
    Error error;
    const bool done = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (done && spool_->acknowledge(number_, &error)) {
      ++delivered_;
      backoff_.reset();
      retry_at_ = -1;
    } else {
      ++failed_;
      retry_at_ = now + backoff_.next_ns();
      *why = done       ? error.message
             : killed_ ? "it hung and was ended"
                        : WIFEXITED(status) ? "exit status " + std::to_string(WEXITSTATUS(status)) : "ended by a signal";
      return backoff_.failures() == 1;
    }
  }
  return now >= retry_at_ && start(now, why);
}

bool Courier::start(std::int64_t now, std::string* why) {
  std::string line;
  int ends[2] = {-1, -1};
  if (!spool_->oldest(&line, &number_)) return false;
  line += '\n';
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t ours;
  sigemptyset(&ours);
  for (const int number : {SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGCHLD}) sigaddset(&ours, number);
  // A record fits into a pipe (64 KiB), so that writing it never waits for the command.
  int failure = ::pipe2(ends, O_CLOEXEC) != 0 ? errno : 0;
  if (failure == 0 && ::write(ends[1], line.data(), line.size()) != static_cast<ssize_t>(line.size())) failure = EIO;
  if (failure == 0) {
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[0], 0);
    posix_spawn_file_actions_adddup2(&actions, 2, 1);  // standard output holds JSON lines
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &inherited_mask());
    posix_spawnattr_setsigdefault(&attributes, &ours);
    const char* const words[] = {"sh", "-c", command_.c_str(), nullptr};
    failure = ::posix_spawn(&child_, "/bin/sh", &actions, &attributes, const_cast<char* const*>(words), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
  }
  for (const int end : ends)
    if (end >= 0) ::close(end);
  killed_ = false;
  deadline_ = now + kPatience;
  if (failure == 0) return false;
  child_ = -1;
  ++failed_;
  retry_at_ = now + backoff_.next_ns();
  *why = std::strerror(failure);
  return backoff_.failures() == 1;
}

std::int64_t Courier::due() const {
  if (child_ > 0) return killed_ ? -1 : deadline_;
  return spool_->pending() > 0 ? std::max<std::int64_t>(retry_at_, 0) : -1;
}

}  // namespace sanderling::tool
