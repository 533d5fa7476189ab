// Contracts:
// - ExpF: relative error < 2e-7 against double libm over its whole range; 0 below, constant above,
//   NaN in, NaN out.
// - SiluF: relative error < 4e-7 against double libm, finite at the extremes.
// - SoftplusF: correctly rounded up to one unit in the last place; the identity above 20.
// - FoldLanes16: the pairwise order 8, 4, 2, 1, not another.
#include "kernels/math.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "base/rng.h"

namespace octet {
namespace {

TEST(Math, ExpIsAccurate) {
  Rng rng(1);
  double worst = 0;
  for (int i = 0; i < 2'000'000; ++i) {
    const float x = rng.Uniform(-87.3f, 88.36f);
    const double exact = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::fabs(ExpF(x) - exact) / exact);
  }
  EXPECT_LT(worst, 2e-7) << worst;
  EXPECT_EQ(ExpF(0.0f), 1.0f);
}

TEST(Math, ExpAtTheEdges) {
  EXPECT_EQ(ExpF(-87.34f), 0.0f);
  EXPECT_EQ(ExpF(-std::numeric_limits<float>::infinity()), 0.0f);
  EXPECT_EQ(ExpF(1000.0f), ExpF(88.37f));
  EXPECT_EQ(ExpF(std::numeric_limits<float>::infinity()), ExpF(88.37f));
  EXPECT_TRUE(std::isfinite(ExpF(88.37f)));
  EXPECT_TRUE(std::isnan(ExpF(std::numeric_limits<float>::quiet_NaN())));
}

TEST(Math, SiluIsAccurate) {
  Rng rng(2);
  double worst = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    const float x = rng.Uniform(-80.0f, 80.0f);
    if (x == 0.0f) continue;
    const double exact = x / (1.0 + std::exp(-static_cast<double>(x)));
    worst = std::max(worst, std::fabs((SiluF(x) - exact) / exact));
  }
  EXPECT_LT(worst, 4e-7);
  EXPECT_EQ(SiluF(0.0f), 0.0f);
  EXPECT_EQ(SiluF(1e30f), 1e30f);
  EXPECT_LT(std::fabs(SiluF(-1000.0f)), 1e-34f);
}

TEST(Math, SoftplusIsAccurate) {
  Rng rng(3);
  for (int i = 0; i < 100'000; ++i) {
    const float x = rng.Uniform(-50.0f, 20.0f);
    const double exact = std::log1p(std::exp(static_cast<double>(x)));
    EXPECT_NEAR(SoftplusF(x), exact, exact * 0x1.0p-23) << x;
  }
  EXPECT_EQ(SoftplusF(20.5f), 20.5f);
}

// The sum of lanes first, first + step, ...: the tree of FoldLanes16 from its root.
float Tree(const float* lanes, int first, int step) {
  if (step == 16) return lanes[first];
  return Tree(lanes, first, 2 * step) + Tree(lanes, first + step, 2 * step);
}

TEST(Math, FoldIsPairwise) {
  Rng rng(4);
  for (int round = 0; round < 1000; ++round) {
    float lanes[16];
    for (float& v : lanes) {
      v = rng.Uniform(-1.0f, 1.0f);
    }
    const float expected = Tree(lanes, 0, 1);
    ASSERT_EQ(FoldLanes16(lanes), expected);
  }
}

}  // namespace
}  // namespace octet
