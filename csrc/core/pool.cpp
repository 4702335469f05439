#include "pool.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>

namespace sanderling {

std::size_t Pool::usable(std::size_t wanted) {
  cpu_set_t set;
  CPU_ZERO(&set);
  const std::size_t cores = sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<std::size_t>(CPU_COUNT(&set)) : 1;
  return std::clamp<std::size_t>(wanted, 1, std::min(cores, most));
}

Pool::Pool(std::size_t wanted) : process_(getpid()) {
  pthread_mutex_init(&mutex_, nullptr);
  pthread_cond_init(&begin_, nullptr);
  pthread_cond_init(&end_, nullptr);
  for (const std::size_t goal = usable(wanted); size_ < goal; ++size_) {
    seats_[size_] = {this, size_};
    if (pthread_create(&threads_[size_], nullptr, serve, &seats_[size_]) != 0) break;
  }
}

Pool::~Pool() {
  if (getpid() == process_) {
    pthread_mutex_lock(&mutex_);
    stop_ = true;
    pthread_cond_broadcast(&begin_);
    pthread_mutex_unlock(&mutex_);
    for (std::size_t i = 1; i < size_; ++i) pthread_join(threads_[i], nullptr);
  }
  pthread_cond_destroy(&end_);
  pthread_cond_destroy(&begin_);
  pthread_mutex_destroy(&mutex_);
}

// Whole groups of four rows, which the matrix products like.
void Pool::share(const Task& task, std::size_t worker) const {
  const auto border = [&](std::size_t k) { return k == size_ ? task.n : task.n * k / size_ / 4 * 4; };
  const std::size_t first = border(worker), count = border(worker + 1) - first;
  if (count > 0) task.call(task.context, first, count, worker);
}

void* Pool::serve(void* seat) {
  const Seat& own = *static_cast<Seat*>(seat);
  Pool& pool = *own.pool;
  unsigned long seen = 0;
  pthread_mutex_lock(&pool.mutex_);
  for (;;) {
    while (!pool.stop_ && pool.round_ == seen) pthread_cond_wait(&pool.begin_, &pool.mutex_);
    if (pool.stop_) break;
    seen = pool.round_;
    const Task task = pool.task_;
    pthread_mutex_unlock(&pool.mutex_);
    pool.share(task, own.worker);
    pthread_mutex_lock(&pool.mutex_);
    if (--pool.busy_ == 0) pthread_cond_signal(&pool.end_);
  }
  pthread_mutex_unlock(&pool.mutex_);
  return nullptr;
}

void Pool::run(const Task& task) {
  if (size_ == 1 || task.n < 8 || getpid() != process_) {
    if (task.n > 0) task.call(task.context, 0, task.n, 0);
    return;
  }
  pthread_mutex_lock(&mutex_);
  task_ = task;
  busy_ = size_ - 1;
  ++round_;
  pthread_cond_broadcast(&begin_);
  pthread_mutex_unlock(&mutex_);
  share(task, 0);
  pthread_mutex_lock(&mutex_);
  while (busy_ > 0) pthread_cond_wait(&end_, &mutex_);
  pthread_mutex_unlock(&mutex_);
}

}  // namespace sanderling
