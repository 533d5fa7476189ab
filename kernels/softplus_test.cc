// Contracts:
// - Every kernel on every instruction set gives the bits of softplus/ref: any C, strides, in place.
// - softplus/ref equals clamp(log(1 + exp(x + bias)), lo, hi) in double within the error of
//   SoftplusF and one sum; NaN stays NaN.
#include "kernels/softplus.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/each_kernel.h"
#include "kernels/floats_testing.h"

namespace octet {
namespace {

using testing::Bits;
using testing::RandomFloats;

TEST(Softplus, EveryKernelGivesTheSameBitsCloseToTheFormula) {
  constexpr float kLo = 0.001f, kHi = 9.0f;
  for (const int64_t C : {1, 3, 16, 37, 512}) {
    for (const int64_t T : {1, 5}) {
      const int64_t stride = C + 3;
      const std::vector<float> x = RandomFloats(T * stride, 12, 1), bias = RandomFloats(C, 3, 2);
      std::vector<float> y(static_cast<size_t>(T * C));
      const SoftplusArgs a{T, C, x.data(), stride, bias.data(), kLo, kHi, y.data()};
      std::vector<uint32_t> want;
      const int kernels = ForEachKernel<SoftplusArgs>(a, [&](const std::string& name, auto call) {
        std::ranges::fill(y, std::numeric_limits<float>::quiet_NaN());
        call();
        if (want.empty()) want = Bits(y);
        EXPECT_EQ(Bits(y), want) << name << " C " << C;
      });
      EXPECT_GE(kernels, static_cast<int>(AvailableIsas().size()));
      for (int64_t t = 0; t < T; ++t) {
        for (int64_t c = 0; c < C; ++c) {
          const float sum = x[static_cast<size_t>(t * stride + c)] + bias[static_cast<size_t>(c)];
          const double exact =
              std::clamp(std::log1p(std::exp(static_cast<double>(sum))), double{kLo}, double{kHi});
          EXPECT_NEAR(y[static_cast<size_t>(t * C + c)], exact, exact * 5e-7);
        }
      }
    }
  }
}

TEST(Softplus, WorksInPlaceAndKeepsNaN) {
  constexpr int64_t kT = 3, kC = 37;
  std::vector<float> x = RandomFloats(kT * kC, 12, 1);
  x[5] = x[36] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> bias = RandomFloats(kC, 3, 2);
  std::vector<float> inout = x;
  const SoftplusArgs a{kT, kC, inout.data(), kC, bias.data(), 0.01f, 5.0f, inout.data()};
  Kernels<SoftplusArgs>().Pick(a, kReferenceOnly).run(a, {nullptr});
  const std::vector<float> want = inout;
  ForEachKernel<SoftplusArgs>(a, [&](const std::string& name, auto call) {
    inout = x;
    call();
    for (size_t i = 0; i < want.size(); ++i) {
      const bool nan = i == 5 || i == 36;
      EXPECT_EQ(std::isnan(inout[i]), nan) << name;
      if (!nan) {
        EXPECT_EQ(inout[i], want[i]) << name;
      }
    }
  });
}

}  // namespace
}  // namespace octet
