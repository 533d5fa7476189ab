// Contracts:
// - Every kernel on every instruction set gives the bits of layernorm/ref: any C, strides, in
//   place.
// - layernorm/ref equals the formula in double within a bound derived from the number of roundings,
//   also for rows far from zero, of one value, and so large or small that eps is nothing or all.
// - A NaN makes its row NaN, and no other.
#include "kernels/layernorm.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "kernels/each_kernel.h"
#include "kernels/floats_testing.h"

namespace octet {
namespace {

using testing::Bits;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr double kEps = 0x1.0p-24;

size_t At(int64_t i) {
  return static_cast<size_t>(i);
}

// Row t of x is center + spread * uniform, with gaps of NaN between rows.
struct Problem {
  Problem(int64_t T, int64_t C, int64_t gap, float center, float spread) : y(At(T * C)) {
    const int64_t stride = C + gap;
    x.assign(At(T * stride), kNan);
    Rng rng(51);
    for (int64_t t = 0; t < T; ++t) {
      for (int64_t c = 0; c < C; ++c) {
        x[At(t * stride + c)] = center + spread * rng.Uniform(-1.0f, 1.0f);
      }
    }
    for (int64_t c = 0; c < C; ++c) {
      weight.push_back(rng.Uniform(-2.0f, 2.0f));
      bias.push_back(rng.Uniform(-1.0f, 1.0f));
    }
    args = {T, C, x.data(), stride, weight.data(), bias.data(), 1e-5f, y.data()};
  }
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  void RunReference() { Kernels<LayernormArgs>().Pick(args, kReferenceOnly).run(args, {nullptr}); }
  void ExpectTheSameBits() {
    RunReference();
    const std::vector<float> want = y;
    const int kernels = ForEachKernel<LayernormArgs>(args, [&](const std::string& name, auto call) {
      std::ranges::fill(y, kNan);
      call();
      EXPECT_EQ(Bits(y), Bits(want)) << name << " C " << args.C;
    });
    EXPECT_GE(kernels, 2 * static_cast<int>(AvailableIsas().size()) - 1);
  }

  // In the formula v = x - mean, r = sqrt(mean v^2 + eps), y = v / r * weight + bias. A sum has
  // `chain` roundings, so in units of kEps the mean errs by chain * |x| at most, v by that and one
  // rounding, the root relatively by error(v) / r and half its own chain, and the last three steps
  // once each.
  void ExpectCloseToDouble() const {
    const double chain = static_cast<double>((args.C + 15) / 16) + 6;
    for (int64_t t = 0; t < args.T; ++t) {
      const float* row = args.x + t * args.x_stride;
      double mean = 0, largest = 0, variance = 0;
      for (int64_t c = 0; c < args.C; ++c) {
        mean += row[c] / static_cast<double>(args.C);
        largest = std::max(largest, std::fabs(static_cast<double>(row[c])));
      }
      for (int64_t c = 0; c < args.C; ++c) {
        variance += (row[c] - mean) * (row[c] - mean) / static_cast<double>(args.C);
      }
      const double root = std::sqrt(variance + static_cast<double>(args.eps));
      const double shift = (chain + 1) * largest / root;
      for (int64_t c = 0; c < args.C; ++c) {
        const double normed = (row[c] - mean) / root;
        const double exact = normed * weight[At(c)] + bias[At(c)];
        const double units =
            (shift + std::fabs(normed) * (shift + chain + 4)) * std::fabs(weight[At(c)]) +
            std::fabs(exact);
        ASSERT_NEAR(y[At(t * args.C + c)], exact, 1.01 * units * kEps)
            << "C " << args.C << " t " << t << " c " << c;
      }
    }
  }

  std::vector<float> x, weight, bias, y;
  LayernormArgs args;
};

constexpr int64_t kWidths[] = {1, 2, 7, 15, 16, 17, 33, 100, 256, 1000};

TEST(Layernorm, EveryKernelGivesTheSameBitsCloseToTheFormula) {
  for (const int64_t C : kWidths) {
    for (const int64_t gap : {0, 3}) {
      Problem p(4, C, gap, 0.3f, 2.0f);
      p.ExpectTheSameBits();
      p.ExpectCloseToDouble();
    }
  }
}

TEST(Layernorm, RowsOfAnySizeAndPlace) {
  struct Row {
    float center, spread;
  };
  const Row rows[] = {{0, 1e15f},     {1e15f, 1e15f}, {0, 1e-20f},   {0, 1e-42f},
                      {1e-3f, 1e-6f}, {100, 1},       {-1e4f, 0.5f}, {1e-5f, 3e-3f}};
  for (const Row& row : rows) {
    Problem p(2, 77, 1, row.center, row.spread);
    p.ExpectTheSameBits();
    p.ExpectCloseToDouble();
  }
}

TEST(Layernorm, ARowOfOneValueGivesTheBias) {
  for (const float value : {0.0f, 1.0f, -4096.0f, 0x1.0p100f}) {
    Problem p(1, 64, 0, value, 0.0f);  // the sum of 64 powers of two is exact
    ForEachKernel<LayernormArgs>(p.args, [&](const std::string& name, auto call) {
      call();
      EXPECT_EQ(p.y, p.bias) << name << " " << value;
    });
  }
}

TEST(Layernorm, InPlace) {
  Problem p(3, 100, 0, 1.0f, 3.0f);
  p.RunReference();
  const std::vector<float> expected = p.y;
  LayernormArgs args = p.args;
  args.x = p.y.data();
  ForEachKernel<LayernormArgs>(args, [&](const std::string& name, auto call) {
    p.y = p.x;
    call();
    EXPECT_EQ(Bits(p.y), Bits(expected)) << name;
  });
}

TEST(Layernorm, NanStaysInItsRow) {
  for (const int64_t at : {4, 36}) {
    Problem p(3, 37, 2, 0.0f, 1.0f);
    p.x[At(p.args.x_stride + at)] = kNan;
    ForEachKernel<LayernormArgs>(p.args, [&](const std::string& name, auto call) {
      call();
      for (size_t i = 0; i < p.y.size(); ++i) {
        ASSERT_EQ(std::isnan(p.y[i]), i / 37 == 1) << name << " " << i;
      }
    });
  }
}

}  // namespace
}  // namespace octet
