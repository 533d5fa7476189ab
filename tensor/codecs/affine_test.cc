// Contracts:
//  1. A code's values are those of the formulas, in exact arithmetic, for every width.
//  2. Values inside the range come back within half a step, those outside at its ends; ties go to
//     even; what has no scale is kept.
#include "tensor/codecs/affine.h"

#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "base/rng.h"

namespace octet {
namespace {

SeenRange Range(float low, float high) {
  SeenRange r;
  r.Include(low);
  r.Include(high);
  return r;
}

TEST(AffineCode, IsTheFormula) {
  Rng rng(1);
  for (int bits = 2; bits <= 16; ++bits) {
    for (const bool symmetric : {false, true}) {
      const SeenRange range = Range(-0.75f, 2.5f);
      const AffineCode code = MakeAffineCode(range, bits, symmetric);
      const double half = std::ldexp(1.0, bits - 1);
      const double scale = symmetric ? 2.5 / (half - 1) : 3.25 / (2 * half - 1);
      const double zero = symmetric ? 0 : std::nearbyint(-half + 0.75 / scale);
      const double low = symmetric ? -(half - 1) : -half, high = half - 1;
      EXPECT_NEAR(code.scale, scale, 1e-7 * scale);
      EXPECT_EQ(code.zero, zero);
      std::set<float> values;
      for (int i = 0; i < 2000; ++i) {
        const float v = rng.Uniform(-3.0f, 3.5f);
        const double q = std::min(
            std::max(std::nearbyint(static_cast<double>(v) / code.scale + code.zero), low), high);
        // Where float and double round to different codes, v is between them.
        EXPECT_NEAR(code(v), (q - zero) * code.scale, 1.001 * code.scale) << bits;
        const bool inside = v >= (low - zero) * code.scale && v <= (high - zero) * code.scale;
        if (inside) {
          EXPECT_LE(std::fabs(code(v) - v), code.scale * 0.5f + 1e-6f) << bits << " " << v;
        }
        if (!inside) {
          EXPECT_EQ(code(v), static_cast<float>(v < 0 ? low - zero : high - zero) * code.scale);
        }
        values.insert(code(v));
      }
      EXPECT_LE(values.size(), static_cast<size_t>(2 * half));
      if (bits <= 6) {
        EXPECT_EQ(values.size(), static_cast<size_t>(high - low + 1));
      }
    }
  }
}

TEST(AffineCode, RangesFarFromZeroKeepTheirValues) {
  for (int bits = 2; bits <= 16; ++bits) {
    for (const auto& [low, high] : {std::pair{0.5f, 0.625f}, {-3.0f, -2.9f}, {100.0f, 100.01f}}) {
      const AffineCode code = MakeAffineCode(Range(low, high), bits, false);
      EXPECT_LE(std::fabs(code.zero), 32768);
      const float coarsest = std::max(std::fabs(low), std::fabs(high)) / 32768;
      const float step = std::max((high - low) / (std::ldexp(1.0f, bits) - 1), coarsest);
      EXPECT_LE(code.scale, 1.01f * step) << bits;
      for (const float v : {low, high, (low + high) / 2}) {
        EXPECT_NEAR(code(v), v, code.scale * 1.01f) << bits;
      }
    }
  }
}

TEST(AffineCode, TiesGoToEven) {
  const AffineCode code{1, 1, 0, -127, 127};
  for (const auto& [v, want] : {std::pair{0.5f, 0.0f},
                                {1.5f, 2.0f},
                                {-0.5f, 0.0f},
                                {-2.5f, -2.0f},
                                {126.5f, 126.0f},
                                {1e30f, 127.0f},
                                {-1e30f, -127.0f}}) {
    EXPECT_EQ(code(v), want) << v;
  }
  EXPECT_TRUE(std::isnan(code(NAN)));
  EXPECT_TRUE(code.Holds(127.5f) && code.Holds(-127.5f));
  EXPECT_FALSE(code.Holds(127.6f) || code.Holds(-127.6f) || code.Holds(NAN));
}

TEST(AffineCode, WhatHasNoScaleIsKept) {
  for (const AffineCode& code :
       {MakeAffineCode(Range(-1, 1), 0, true), MakeAffineCode({}, 8, true)}) {
    EXPECT_EQ(code(0.3f), 0.3f);
    EXPECT_TRUE(code.Holds(0.3f));
  }
  const AffineCode constant = MakeAffineCode(Range(0.7f, 0.7f), 4, false);
  EXPECT_NEAR(constant(0.7f), 0.7f, 1e-7f);
  EXPECT_EQ(constant(0.0f), 0);
}

TEST(AffineCode, RangesOfZerosHoldZeroAlone) {
  for (const bool symmetric : {false, true}) {
    for (const float peak : {0.0f, 1e-40f}) {
      const AffineCode code = MakeAffineCode(Range(-peak, peak), 8, symmetric);
      for (const float v : {0.0f, 0.3f, -1e9f}) {
        EXPECT_EQ(code(v), 0) << v;
        EXPECT_TRUE(code.Holds(v)) << v;
      }
    }
  }
}

TEST(RoundHalfEven, IsNearbyint) {
  Rng rng(2);
  for (int i = 0; i < 100000; ++i) {
    const float v = rng.Uniform(-70000.0f, 70000.0f) * (i % 3 == 0 ? 1e-4f : 1.0f);
    ASSERT_EQ(RoundHalfEven(v), std::nearbyint(v)) << v;
  }
}

}  // namespace
}  // namespace octet
