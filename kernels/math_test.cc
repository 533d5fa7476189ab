// Contracts:
// - ExpF: relative error < 2e-7 against double libm over its whole range; 0 below, constant above,
//   NaN in, NaN out.
// - SiluF: relative error < 4e-7 against double libm, finite at the extremes.
// - SigmoidF: relative error < 3e-7 against double libm above -88, finite at the extremes.
// - GeluF: relative error < 5e-7 against the double erfc above -13.2; zero and x at the extremes,
//   NaN in, NaN out.
// - PiecewiseGeluF: x clamp(x + 2, 0, 4) / 4 within two roundings; zero and x at the extremes, NaN
//   in, NaN out; within 0.12 of GELU.
// - SoftplusF: relative error below 5e-7; the identity above 20; NaN and infinity as the formula.
// - FoldLanes16: the pairwise order 8, 4, 2, 1, not another.
#include "kernels/math.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <gtest/gtest.h>

#include "base/rng.h"

namespace octet {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

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

TEST(Math, SigmoidIsAccurate) {
  Rng rng(5);
  double worst = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    const float x = rng.Uniform(-88.0f, 88.0f);
    const double exact = 1.0 / (1.0 + std::exp(-static_cast<double>(x)));
    worst = std::max(worst, std::fabs(SigmoidF(x) - exact) / exact);
  }
  EXPECT_LT(worst, 3e-7);
  EXPECT_EQ(SigmoidF(0.0f), 0.5f);
  EXPECT_EQ(SigmoidF(kInfinity), 1.0f);
  EXPECT_GE(SigmoidF(-kInfinity), 0.0f);
  EXPECT_LT(SigmoidF(-kInfinity), 1e-38f);
  EXPECT_TRUE(std::isnan(SigmoidF(kNan)));
}

double Gelu(double x) {
  return 0.5 * x * std::erfc(-x * std::numbers::sqrt2 / 2);
}

TEST(Math, GeluIsAccurate) {
  Rng rng(6);
  double worst = 0;
  for (int i = 0; i < 2'000'000; ++i) {
    const float limit = i % 2 == 0 ? 13.2f : 3.0f;
    const float x = rng.Uniform(-limit, limit);
    if (std::fabs(Gelu(x)) < 0x1.0p-126) continue;  // a denormal result has fewer digits
    worst = std::max(worst, std::fabs(GeluF(x) / Gelu(x) - 1));
  }
  EXPECT_LT(worst, 5e-7);
  for (const float x : {1e-3f, 1e-10f, 1e-30f}) {
    EXPECT_NEAR(GeluF(x) / Gelu(x), 1.0, 5e-7);
    EXPECT_NEAR(GeluF(-x) / Gelu(-x), 1.0, 5e-7);
  }
}

TEST(Math, GeluAtTheEdges) {
  for (float (*gelu)(float) : {GeluF, PiecewiseGeluF}) {
    for (const float x : {14.0f, 15.0f, 1e30f, 3e38f, kInfinity}) {
      EXPECT_EQ(gelu(x), x);
      EXPECT_EQ(gelu(-x), 0.0f) << x;
    }
    EXPECT_EQ(gelu(0.0f), 0.0f);
    EXPECT_EQ(gelu(-0.0f), 0.0f);
    EXPECT_TRUE(std::isnan(gelu(kNan)) && std::isnan(gelu(-kNan)));
  }
}

TEST(Math, PiecewiseGeluIsTheQuadratic) {
  Rng rng(7);
  for (int i = 0; i < 1'000'000; ++i) {
    const float x = rng.Uniform(-4.0f, 4.0f);
    const double exact = x * std::clamp(static_cast<double>(x) + 2, 0.0, 4.0) / 4;
    ASSERT_NEAR(PiecewiseGeluF(x), exact, std::fabs(exact) * 0x1.0p-23) << x;
    ASSERT_NEAR(PiecewiseGeluF(x), Gelu(x), 0.12) << x;
  }
}

TEST(Math, SoftplusIsAccurate) {
  Rng rng(3);
  for (int i = 0; i < 1'000'000; ++i) {
    const float x = rng.Uniform(-87.0f, 30.0f);
    const double exact = std::log1p(std::exp(static_cast<double>(x)));
    ASSERT_NEAR(SoftplusF(x), exact, exact * 5e-7) << x;
  }
  EXPECT_EQ(SoftplusF(20.5f), 20.5f);
  EXPECT_EQ(SoftplusF(-90.0f), 0.0f);
  EXPECT_EQ(SoftplusF(kInfinity), kInfinity);
  EXPECT_EQ(SoftplusF(-kInfinity), 0.0f);
  EXPECT_TRUE(std::isnan(SoftplusF(std::numeric_limits<float>::quiet_NaN())));
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
