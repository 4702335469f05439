// Delivers the spool's alarms one after the other by a command that takes one on its standard input (mosquitto_pub, mail, curl).
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>

#include "tool/spool.h"

namespace sanderling::tool {

// How long to wait after the n-th failure in a row: first * 2^(n-1), at most 64 * first, the upper half of it by chance, so that many
// devices don't come back at once.
class Backoff {
 public:
  explicit Backoff(double first_s);
  std::int64_t next_ns();
  void reset() { failures_ = 0; }
  std::uint64_t failures() const { return failures_; }

 private:
  double first_ns_;
  std::uint64_t failures_ = 0, random_;
};

class Courier {
 public:
  Courier(const std::string& command, double retry_s, Spool* spool) : command_(command), backoff_(retry_s), spool_(spool) {}
  ~Courier();
  // Looks after the command that runs, and starts the next one; told == true when something worth a line happened: `why`.
  bool step(std::int64_t now, std::string* why);
  // When step wants to be called at the latest, in monotonic ns; -1: when an alarm comes or the command ends.
  std::int64_t due() const;
  bool busy() const { return child_ > 0; }
  std::uint64_t delivered() const { return delivered_; }
  std::uint64_t failed() const { return failed_; }

 private:
  bool start(std::int64_t now, std::string* why);

  std::string command_;
  Backoff backoff_;
  Spool* spool_;
  pid_t child_ = -1;
  bool killed_ = false;
  std::int64_t deadline_ = -1, retry_at_ = -1;
  std::uint64_t number_ = 0, delivered_ = 0, failed_ = 0;
};

}  // namespace sanderling::tool
