#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "tool/slot.h"

namespace sanderling::tool {
namespace {

constexpr unsigned kMostSeconds = 300;

[[noreturn]] void become(const char* const* words, int output) {
  // What this process blocks and ignores (install_signals) is not the child's; alarm() outlives exec and ends one that hangs.
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::alarm(kMostSeconds);
  ::dup2(output, 1);
  ::dup2(output, 2);
  ::execv(words[0], const_cast<char* const*>(words));
  char text[80];
  const int size = std::snprintf(text, sizeof text, "it does not start: %s", std::strerror(errno));
  if (::write(2, text, static_cast<std::size_t>(size)) < 0) ::_exit(126);
  ::_exit(127);
}

// The last line of what it says.
std::string last_line(int fd) {
  std::string said;
  char buffer[1024];
  for (ssize_t got = 1; got != 0;) {
    got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    said.append(buffer, static_cast<std::size_t>(got));
    if (said.size() > 65536) said.erase(0, 32768);
  }
  while (!said.empty() && said.back() == '\n') said.pop_back();
  const std::size_t line = said.rfind('\n');
  return line == std::string::npos ? said : said.substr(line + 1);
}

}  // namespace

bool slot_selftest(const Slots& slots, char slot, const std::string& launcher, std::string* said) {
  const std::string runner = slots.folder(slot) + "/" + kRunnerName, model = slots.folder(slot) + "/" + kModelName;
  const char* const words[] = {launcher.c_str(), runner.c_str(), "--selftest", model.c_str(), nullptr};
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return *said = std::strerror(errno), false;
  const pid_t child = ::fork();
  if (child == 0) become(words + launcher.empty(), ends[1]);
  ::close(ends[1]);
  *said = last_line(ends[0]);
  ::close(ends[0]);
  int status = -1;
  while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (said->empty() && child > 0 && WIFSIGNALED(status)) *said = std::string("signal ") + std::to_string(WTERMSIG(status));
  return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace sanderling::tool
