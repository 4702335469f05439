// What the runner needs of the operating system: interruptible input, complete output, one-line errors.
#pragma once
#include <poll.h>
#include <signal.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "model/engine.h"

namespace sanderling::tool {

// A standard stream that the caller closed is held by one that fails, so that no file opened later takes its number and gets
// its traffic. Comes first.
void hold_standard_streams();
// SIGINT and SIGTERM end the input; SIGPIPE becomes an error of write.
void install_signals();

// Live: also SIGHUP (asks for the input to be opened again) and SIGCHLD (a command has ended).
void install_live_signals();
bool stop_requested();
bool take_hangup();  // whether SIGHUP came since the last call
// What a program started by this one must not inherit: the mask of before.
const sigset_t& inherited_mask();

std::int64_t monotonic_ns();
// Waits until one of the descriptors is ready, a signal came, or timeout_ns passed (below 0: for ever).
void wait_ready(pollfd* descriptors, std::size_t n, std::int64_t timeout_ns);

// The error of a system call: errno's text.
void system_error(Error* error, Status status, const char* wanted, const std::string& path);

// Prints the error on one line of stderr; returns the exit status 2, as `sanderling` does for every error of errors.py.
int report(const Error& error);

// Checks that `path` is a readable file: a wrong path is the user's mistake, which the engine can't tell from a failing disk.
bool readable_file(const std::string& path, Error* error);

class Input {
 public:
  ~Input();
  bool open(const std::string& path, Error* error);  // "-": standard input
  enum class Read { data, end, interrupted, failed };
  // Waits for bytes; meanwhile, and whenever it is called, it tells a watchdog that the program is alive.
  Read read(char* buffer, std::size_t capacity, std::size_t* size, Error* error);

 private:
  int fd_ = -1;
  std::uint64_t watchdog_us_ = 0;
};

class Output {
 public:
  ~Output();
  bool create(const std::string& path, Error* error);
  bool to_stdout() { return fd_ = 1, true; }
  bool is_open() const { return fd_ >= 0; }
  void add(std::string_view bytes) { pending_ += bytes; }
  // Hands everything over; false when the other side is gone (broken(): then nobody wants to hear of it) or on an error.
  bool flush(Error* error);
  bool close(Error* error);
  // Closes without what is pending.
  void abandon();
  bool broken() const { return broken_; }

 private:
  int fd_ = -1;
  bool broken_ = false;
  std::string pending_, path_ = "standard output";
};

}  // namespace sanderling::tool
