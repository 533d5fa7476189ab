// Contracts:
// - Every kernel on every instruction set gives the bits of glu/ref: any C, strides, infinite and
//   denormal gates.
// - glu/ref equals x / (1 + exp(-gate)) in double within the error of SigmoidF and one product.
// - A NaN gives NaN in its own channel, and in no other.
#include "kernels/glu.h"

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
constexpr float kInfinity = std::numeric_limits<float>::infinity();

size_t At(int64_t i) {
  return static_cast<size_t>(i);
}

// Random rows with gaps of NaN between them, and room for the result.
struct Problem {
  Problem(int64_t T, int64_t C, int64_t gap) : y(At(T * C)) {
    const int64_t stride = 2 * C + gap;
    x.assign(At(T * stride), kNan);
    Rng rng(31);
    for (int64_t t = 0; t < T; ++t) {
      for (int64_t c = 0; c < 2 * C; ++c) {
        x[At(t * stride + c)] = rng.Uniform(-1.0f, 1.0f) * (c < C ? 3.0f : 30.0f);
      }
    }
    args = {T, C, x.data(), stride, y.data()};
  }
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  float& X(int64_t t, int64_t c) { return x[At(t * args.x_stride + c)]; }
  float& Gate(int64_t t, int64_t c) { return X(t, args.C + c); }
  void ExpectTheSameBits() {
    Kernels<GluArgs>().Pick(args, kReferenceOnly).run(args, {nullptr});
    const std::vector<float> want = y;
    const int kernels = ForEachKernel<GluArgs>(args, [&](const std::string& name, auto call) {
      std::ranges::fill(y, kNan);
      call();
      EXPECT_EQ(Bits(y), Bits(want)) << name << " C " << args.C;
    });
    EXPECT_GE(kernels, 2 * static_cast<int>(AvailableIsas().size()) - 1);
  }

  std::vector<float> x, y;
  GluArgs args;
};

TEST(Glu, EveryKernelGivesTheSameBitsCloseToTheFormula) {
  for (const int64_t C : {1, 3, 16, 31, 37, 512}) {
    for (const int64_t gap : {0, 5}) {
      Problem p(4, C, gap);
      p.ExpectTheSameBits();
      for (int64_t t = 0; t < p.args.T; ++t) {
        for (int64_t c = 0; c < C; ++c) {
          const double exact = p.X(t, c) / (1 + std::exp(-static_cast<double>(p.Gate(t, c))));
          EXPECT_NEAR(p.y[At(t * C + c)], exact, std::fabs(exact) * 4e-7) << C << " " << c;
        }
      }
    }
  }
}

TEST(Glu, LargeAndTinyValues) {
  const float values[] = {3e38f, -3e38f, 1e-40f, -1e-40f, 100.0f, -100.0f, 1e-10f, 0.0f, -0.0f};
  constexpr int64_t kValues = std::size(values);
  Problem p(kValues, kValues, 1);
  for (int64_t t = 0; t < kValues; ++t) {
    for (int64_t c = 0; c < kValues; ++c) {
      p.X(t, c) = values[t];
      p.Gate(t, c) = values[c];
    }
  }
  p.ExpectTheSameBits();
  for (int64_t t = 0; t < kValues; ++t) {
    for (int64_t c = 0; c < kValues; ++c) {
      const double exact = p.X(t, c) / (1 + std::exp(-static_cast<double>(p.Gate(t, c))));
      // Below -88 the sigmoid is e^-88.4 instead of its own value.
      const double floor = p.Gate(t, c) < -88 ? std::fabs(p.X(t, c)) * 5e-39 : 1e-44;
      EXPECT_NEAR(p.y[At(t * kValues + c)], exact, std::fabs(exact) * 4e-7 + floor)
          << p.X(t, c) << " " << p.Gate(t, c);
    }
  }
}

TEST(Glu, InfiniteGates) {
  Problem p(2, 20, 0);
  for (int64_t c = 0; c < 20; ++c) {
    p.Gate(0, c) = kInfinity;
    p.Gate(1, c) = -kInfinity;
  }
  p.ExpectTheSameBits();
  for (int64_t c = 0; c < 20; ++c) {
    EXPECT_EQ(p.y[At(c)], p.X(0, c));
    EXPECT_NEAR(p.y[At(20 + c)], 0.0f, 1e-37f);
  }
}

TEST(Glu, NanStaysInItsChannel) {
  Problem p(1, 37, 0);
  for (const int64_t c : {5, 36}) {
    p.X(0, c) = kNan;
    p.Gate(0, c - 2) = kNan;
  }
  ForEachKernel<GluArgs>(p.args, [&](const std::string& name, auto call) {
    call();
    for (int64_t c = 0; c < 37; ++c) {
      const bool poisoned = c == 5 || c == 36 || c == 3 || c == 34;
      EXPECT_EQ(std::isnan(p.y[At(c)]), poisoned) << name << " " << c;
    }
  });
}

}  // namespace
}  // namespace octet
