// An opt-in pool of threads: fork and join over ranges. Its threads sleep on a condition variable while there is no work; without a
// pool nothing is ever started.
#pragma once
#include <pthread.h>
#include <sys/types.h>

#include <cstddef>

namespace sanderling {

class Pool {
 public:
  static constexpr std::size_t most = 64;  // threads, the caller's included

  // At most `wanted` threads, and never more than the processors this process may run on; threads that the system refuses are done
  // without.
  explicit Pool(std::size_t wanted);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  std::size_t size() const { return size_; }
  static std::size_t usable(std::size_t wanted);

  // work(first, count, worker) over [0, n) in contiguous ranges, one a thread; the caller takes the first. Returns when all are done.
  // A child process that was forked has no threads of the pool's: there the caller does it all.
  template <typename Work>
  void run(std::size_t n, Work work) {
    Task task = {[](void* context, std::size_t first, std::size_t count, std::size_t worker) {
                   (*static_cast<Work*>(context))(first, count, worker);
                 },
                 &work, n};
    run(task);
  }

 private:
  struct Task {
    void (*call)(void*, std::size_t, std::size_t, std::size_t);
    void* context;
    std::size_t n;
  };
  struct Seat {
    Pool* pool;
    std::size_t worker;
  };
  void run(const Task& task);
  void share(const Task& task, std::size_t worker) const;
  static void* serve(void* seat);

  std::size_t size_ = 1;
  pid_t process_;
  pthread_mutex_t mutex_;
  pthread_cond_t begin_, end_;
  Task task_ = {};
  unsigned long round_ = 0;
  std::size_t busy_ = 0;
  bool stop_ = false;
  pthread_t threads_[most];
  Seat seats_[most];
};

}  // namespace sanderling
