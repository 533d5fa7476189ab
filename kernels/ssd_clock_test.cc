// The times of the SSD's stages add up to that of the call.
#include <chrono>

#include <gtest/gtest.h>

#include "base/buffer.h"
#include "kernels/isa.h"
#include "kernels/ssd_testing.h"

namespace octet {
namespace {

using testing::SsdProblem;
using testing::SsdShape;

// Of the time of a run that the clock attributes to stages, each of which takes some.
double ShareOfStages(const Kernel<SsdArgs>& kernel, SsdArgs args) {
  Buffer scratch(kernel.scratch_bytes(args));
  SsdClock clock;
  args.clock = &clock;
  const auto start = std::chrono::steady_clock::now();
  kernel.run(args, {scratch.data()});
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  double sum = 0;
  for (const double seconds : clock.seconds()) {
    EXPECT_GT(seconds, 0);
    sum += seconds;
  }
  return sum / taken.count();
}

TEST(SsdClock, AddsUpToTheTimeOfTheCall) {
  SsdShape shape;
  shape.T = 500;
  shape.P = 64;
  shape.N = 128;
  shape.L = 64;
  SsdProblem problem(shape);
  for (const SsdArgs& args : {problem.Float(), problem.PerChunk()}) {
    const Kernel<SsdArgs>& kernel = Kernels<SsdArgs>().Pick(args, AllowedIsas());
    if (kernel.isa == Isa::kScalar) GTEST_SKIP() << "reference kernels do not time their stages";
    double share = 0;  // of the time, in the best of some runs: others may be interrupted
    for (int i = 0; i < 20 && (share < 0.8 || share > 1.05); ++i) {
      share = ShareOfStages(kernel, args);
    }
    EXPECT_GE(share, 0.8) << kernel.name;
    EXPECT_LE(share, 1.05) << kernel.name;
  }
}

}  // namespace
}  // namespace octet
