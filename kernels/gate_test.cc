// Contracts:
// - Every kernel on every instruction set gives the bits of gate/ref: any C, strides, in place.
// - gate/ref equals y * z / (1 + exp(-z)) in double within the error of SiluF and one product.
#include "kernels/gate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/each_kernel.h"
#include "kernels/floats_testing.h"

namespace octet {
namespace {

using testing::Bits;
using testing::RandomFloats;

TEST(Gate, EveryKernelGivesTheSameBitsCloseToTheFormula) {
  for (const int64_t C : {1, 3, 16, 37, 512}) {
    for (const int64_t T : {1, 5}) {
      const int64_t y_stride = C + 3, z_stride = 2 * C;
      const std::vector<float> y = RandomFloats(T * y_stride, 3, 1),
                               z = RandomFloats(T * z_stride, 30, 2);
      std::vector<float> out(static_cast<size_t>(T * C));
      const GateArgs a{T, C, y.data(), y_stride, z.data(), z_stride, out.data()};
      std::vector<uint32_t> want;
      const int kernels = ForEachKernel<GateArgs>(a, [&](const std::string& name, auto call) {
        std::ranges::fill(out, std::numeric_limits<float>::quiet_NaN());
        call();
        if (want.empty()) want = Bits(out);
        EXPECT_EQ(Bits(out), want) << name << " C " << C;
      });
      EXPECT_GE(kernels, 2);
      for (int64_t t = 0; t < T; ++t) {
        for (int64_t c = 0; c < C; ++c) {
          const double v = z[static_cast<size_t>(t * z_stride + c)];
          const double exact = y[static_cast<size_t>(t * y_stride + c)] * v / (1 + std::exp(-v));
          EXPECT_NEAR(out[static_cast<size_t>(t * C + c)], exact, std::fabs(exact) * 5e-7);
        }
      }
    }
  }
}

TEST(Gate, WorksInPlace) {
  constexpr int64_t kT = 3, kC = 37;
  const std::vector<float> y = RandomFloats(kT * kC, 3, 1), z = RandomFloats(kT * kC, 30, 2);
  std::vector<float> want(y.size()), inout;
  GateArgs a{kT, kC, y.data(), kC, z.data(), kC, want.data()};
  Kernels<GateArgs>().Pick(a, kReferenceOnly).run(a, {nullptr});
  inout = y;
  a.y = a.out = inout.data();
  ForEachKernel<GateArgs>(a, [&](const std::string& name, auto call) {
    inout = y;
    call();
    EXPECT_EQ(Bits(inout), Bits(want)) << name;
  });
}

}  // namespace
}  // namespace octet
