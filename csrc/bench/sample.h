// Timed slices: a piece of work is repeated until a slice is long enough for the clock, one slice a round, so that every
// piece meets the same machine. Times are of one repetition.
#pragma once
#include <algorithm>
#include <cstddef>
#include <vector>

#include <time.h>

namespace sanderling::bench {

// The thread's own time: what other programs take of the core is no fault of the kernels.
inline double now_us() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e6 * static_cast<double>(t.tv_sec) + 1e-3 * static_cast<double>(t.tv_nsec);
}

struct Quantiles {
  double median, p10, p90, least;
};

inline Quantiles quantiles(std::vector<double> sorted) {
  std::sort(sorted.begin(), sorted.end());
  const auto at = [&](double q) { return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1) + 0.5)]; };
  return {at(0.5), at(0.1), at(0.9), sorted.front()};
}

class Sample {
 public:
  // work(n) does the piece n times. Once untimed first: the piece before left its own memory in the caches. Returns the time.
  template <class Work>
  double slice(double at_least_us, Work work) {
    work(1);
    if (repeats_ == 0) {
      double took = 0.0;
      for (repeats_ = 1; took < at_least_us; repeats_ *= 2) {
        const double start = now_us();
        work(repeats_);
        took = now_us() - start;
      }
    }
    const double start = now_us();
    work(repeats_);
    times_.push_back((now_us() - start) / static_cast<double>(repeats_));
    return times_.back();
  }

  Quantiles quantiles() const { return sanderling::bench::quantiles(times_); }

 private:
  std::size_t repeats_ = 0;
  std::vector<double> times_;
};

}  // namespace sanderling::bench
