#include "base/parallel.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

namespace octet {

struct ThreadPool::Impl {
  explicit Impl(int n) : threads(n) {
    // TBB caps every arena at the core count otherwise; a request for more threads is the caller's
    // choice.
    static const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                           kMaxThreads);
    if (n > 1) arena.initialize(n);
  }
  int threads;
  tbb::task_arena arena;
};

ThreadPool::ThreadPool(int threads)
    : impl_(std::make_unique<Impl>(std::clamp(threads, 1, kMaxThreads))) {}
ThreadPool::~ThreadPool() = default;

int ThreadPool::threads() const {
  return impl_->threads;
}

void ThreadPool::For(int64_t n, const std::function<void(int64_t, int)>& task) {
  if (n <= 1 || impl_->threads == 1) {
    for (int64_t i = 0; i < n; ++i) {
      task(i, 0);
    }
    return;
  }
  impl_->arena.execute([&] {
    tbb::parallel_for(
        tbb::blocked_range<int64_t>(0, n, 1),
        [&](const tbb::blocked_range<int64_t>& range) {
          for (int64_t i = range.begin(); i < range.end(); ++i) {
            task(i, tbb::this_task_arena::current_thread_index());
          }
        },
        tbb::simple_partitioner());
  });
}

int AvailableThreads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int threads = 1;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) threads = CPU_COUNT(&set);
  std::ifstream quota("/sys/fs/cgroup/cpu.max");  // "max 100000" or "150000 100000"
  std::string limit;
  double period = 0;
  if (quota >> limit >> period && limit != "max" && period > 0) {
    threads = std::min(threads, std::max(1, static_cast<int>(std::stod(limit) / period)));
  }
  return std::clamp(threads, 1, kMaxThreads);
}

}  // namespace octet
