// The pool shares every range once, and its threads do not run at all while there is no work.
#include "core/pool.h"

#include <pthread.h>
#include <time.h>

#include <cstdint>
#include <vector>

#include "check.h"

namespace {

using sanderling::Pool;

constexpr int settling_rounds = 500;
constexpr long settling_ns = 10'000'000, idle_ns = 200'000'000;

void wait_for(long ns) {
  const timespec time = {ns / 1'000'000'000, ns % 1'000'000'000};
  nanosleep(&time, nullptr);
}

std::int64_t cpu_ns(clockid_t clock) {
  timespec time = {};
  return clock_gettime(clock, &time) == 0 ? std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec : -1;
}

std::vector<std::int64_t> cpu_ns(const std::vector<clockid_t>& clocks) {
  std::vector<std::int64_t> all;
  for (const clockid_t clock : clocks) all.push_back(cpu_ns(clock));
  return all;
}

void every_index_once(Pool& pool) {
  for (const std::size_t n : {0u, 1u, 7u, 8u, 9u, 64u, 1001u}) {
    std::vector<int> seen(n, 0);
    pool.run(n, [&](std::size_t first, std::size_t count, std::size_t) {
      for (std::size_t i = first; i < first + count; ++i) ++seen[i];
    });
    std::size_t once = 0;
    for (const int times : seen) once += times == 1;
    CHECK(once == n, "of %zu", n);
  }
}

// A thread that sleeps uses no processor time: its clock stands still to the nanosecond, however busy the machine is.
void sleeps_between_blocks(Pool& pool) {
  std::vector<clockid_t> clocks(pool.size());
  for (int block = 0; block < 3; ++block) {
    pool.run(8 * pool.size(), [&](std::size_t, std::size_t, std::size_t worker) {
      pthread_getcpuclockid(pthread_self(), &clocks[worker]);
    });
    const std::vector<clockid_t> others(clocks.begin() + 1, clocks.end());
    std::vector<std::int64_t> before, settled = cpu_ns(others);
    for (int round = 0; round < settling_rounds && before != settled; ++round) {
      before = settled;
      wait_for(settling_ns);
      settled = cpu_ns(others);
    }
    wait_for(idle_ns);
    const std::vector<std::int64_t> after = cpu_ns(others);
    for (std::size_t i = 0; i < others.size(); ++i)
      CHECK(after[i] > 0 && after[i] == settled[i], "thread %zu ran %lld ns", i + 1, static_cast<long long>(after[i] - settled[i]));
  }
}

}  // namespace

int main() {
  CHECK(Pool::usable(0) == 1 && Pool::usable(1) == 1 && Pool::usable(1000) <= Pool::most);
  Pool alone(1);
  CHECK(alone.size() == 1);
  every_index_once(alone);
  Pool pool(4);
  CHECK(pool.size() == Pool::usable(4));
  every_index_once(pool);
  sleeps_between_blocks(pool);
  return check::report("any");
}
