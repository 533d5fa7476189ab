// Parallel loops whose results do not depend on the number of threads.
#ifndef OCTET_BASE_PARALLEL_H_
#define OCTET_BASE_PARALLEL_H_

#include <cstdint>
#include <functional>
#include <memory>

namespace octet {

inline constexpr int kMaxThreads = 256;

// A set of worker threads (oneTBB). One owner uses it at a time; different pools are independent.
class ThreadPool {
 public:
  // `threads` in [1, kMaxThreads], else the nearest of these; 1 runs everything on the caller.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;
  // Runs task(0) .. task(n - 1), each once, in any order, possibly concurrently, and waits. Tasks
  // must write disjoint memory; the caller fixes the partition, so results cannot depend on
  // threads(). `worker` in [0, threads()) names the running thread, for scratch memory.
  void For(int64_t n, const std::function<void(int64_t task, int worker)>& task);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Threads this process may use: the smaller of the CPU affinity mask and the cgroup quota, in
// [1, kMaxThreads].
int AvailableThreads();

}  // namespace octet
#endif  // OCTET_BASE_PARALLEL_H_
