#include "eval/roof.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "eval/machine_load.h"
#include "kernels/isa.h"
#include "kernels/table.h"

namespace octet {
namespace {

// Tasks of each thread, so that one which starts late leaves work to the others.
constexpr int64_t kTasks = 4;
constexpr double kTaskSeconds = 0.005;
constexpr int64_t kStreams[] = {1, 4, 8};

// One call of the best kernel of the instruction set in force; what it did.
double RunPeak(PeakArgs a) {
  double done = 0;
  uint32_t sum = 0;
  a.done = &done;
  a.sum = &sum;
  Kernels<PeakArgs>().Pick(a, AllowedIsas()).run(a, {nullptr});
  return done;
}

// Of a task that takes about kTaskSeconds.
int64_t FindRounds(PeakUnit unit) {
  for (int64_t rounds = 1024;; rounds *= 2) {
    const double start = WallSeconds();
    RunPeak({unit, rounds, nullptr, 0, 0, nullptr, nullptr});
    if (WallSeconds() - start >= kTaskSeconds / 2) return rounds;
  }
}

}  // namespace

int64_t RoofBufferBytes() {
  constexpr int64_t kLeast = int64_t{64} << 20, kMost = int64_t{512} << 20;
#ifdef _SC_LEVEL3_CACHE_SIZE
  const int64_t cache = std::max<int64_t>(0, sysconf(_SC_LEVEL3_CACHE_SIZE));
#else
  const int64_t cache = kLeast;
#endif
  return std::clamp(4 * std::min(cache, kMost), kLeast, kMost);
}

RoofMeter::RoofMeter(std::span<const std::byte> memory, std::shared_ptr<ThreadPool> pool)
    : memory_(memory), pool_(std::move(pool)) {}

double RoofMeter::Rate(PeakUnit unit, int64_t streams) {
  PeakArgs args{unit, 1, nullptr, 0, streams, nullptr, nullptr};
  const int64_t tasks = kTasks * pool_->threads();
  if (unit == PeakUnit::kRead) {
    args.bytes = std::ssize(memory_) / tasks / (64 * streams) * (64 * streams);
  } else {
    int64_t& rounds = rounds_[unit];
    if (rounds == 0) rounds = FindRounds(unit);
    args.rounds = rounds;
  }
  std::atomic<double> total = 0;
  const double start = WallSeconds();
  pool_->For(tasks, [&](int64_t task, int) {
    PeakArgs a = args;
    if (unit == PeakUnit::kRead) a.data = memory_.data() + task * a.bytes;
    const double done = RunPeak(a);
    total.fetch_add(done);
  });
  return total / (WallSeconds() - start);
}

void RoofMeter::Sample() {
  isa_ = CurrentIsa();
  f32_.push_back(Rate(PeakUnit::kF32, 0));
  i8_.push_back(Rate(PeakUnit::kI8, 0));
  for (const int64_t streams : kStreams) {
    read_[streams].push_back(Rate(PeakUnit::kRead, streams));
  }
}

Roof RoofMeter::Get() const {
  Roof roof;
  roof.isa = isa_;
  roof.threads = pool_->threads();
  roof.f32_ops_per_s = SpreadOf(f32_);
  roof.i8_ops_per_s = SpreadOf(i8_);
  for (const auto& [streams, samples] : read_) {
    const Spread spread = SpreadOf(samples);
    if (spread.median <= roof.read_bytes_per_s.median) continue;
    roof.read_bytes_per_s = spread;
    roof.streams = streams;
  }
  return roof;
}

}  // namespace octet
