// The times of the SSD's stages add up to that of the call.
#include <chrono>

#include <gtest/gtest.h>

#include "kernels/isa.h"
#include "kernels/ssd_testing.h"

namespace octet {
namespace {

using testing::RunSsd;
using testing::SsdProblem;
using testing::SsdShape;

TEST(SsdClock, AddsUpToTheTimeOfTheCall) {
  SsdShape shape;
  shape.T = 500;
  shape.P = 64;
  shape.N = 128;
  shape.L = 64;
  SsdProblem problem(shape);
  for (SsdArgs args : {problem.Float(), problem.PerChunk()}) {
    const Kernel<SsdArgs>& kernel = Kernels<SsdArgs>().Pick(args, AllowedIsas());
    if (kernel.isa == Isa::kScalar) GTEST_SKIP() << "reference kernels do not time their stages";
    SsdClock clock;
    args.clock = &clock;
    const auto start = std::chrono::steady_clock::now();
    RunSsd(kernel, args);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    double sum = 0;
    for (const double seconds : clock.seconds()) {
      EXPECT_GT(seconds, 0);
      sum += seconds;
    }
    EXPECT_GT(sum, 0.3 * taken.count());
    EXPECT_LT(sum, 1.05 * taken.count());
  }
}

}  // namespace
}  // namespace octet
