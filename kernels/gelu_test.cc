// Contracts, for both forms:
// - Every kernel on every instruction set gives the bits of gelu/ref: any C, strides, in place,
//   infinite and denormal values.
// - gelu/ref equals the formula in double: x Phi(x) within the error of GeluF, and
//   x clamp(x + 2, 0, 4) / 4 within two roundings.
// - A NaN gives NaN in its own channel, and in no other.
#include "kernels/gelu.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
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
constexpr GeluForm kForms[] = {GeluForm::kExact, GeluForm::kPiecewise};

size_t At(int64_t i) {
  return static_cast<size_t>(i);
}

double Exact(GeluForm form, double x) {
  if (form == GeluForm::kPiecewise) return x * std::clamp(x + 2, 0.0, 4.0) / 4;
  return 0.5 * x * std::erfc(-x * std::numbers::sqrt2 / 2);
}

// Random values, edges among them.
std::vector<float> Values(int64_t n) {
  std::vector<float> v = {0.0f,   -0.0f, 1e-40f, -1e-40f, kInfinity, -kInfinity, 3e38f,
                          -3e38f, 2.0f,  -2.0f,  4.0f,    -14.0f,    1e-10f,     -1e-10f};
  Rng rng(41);
  while (v.size() < At(n)) {
    v.push_back(rng.Uniform(-6.0f, 6.0f));
  }
  v.resize(At(n));
  return v;
}

TEST(Gelu, EveryKernelGivesTheSameBitsCloseToTheFormula) {
  for (const GeluForm form : kForms) {
    for (const int64_t C : {1, 3, 16, 31, 37, 512}) {
      constexpr int64_t kT = 5;
      const int64_t stride = C + 3;
      const std::vector<float> x = Values(kT * stride);
      std::vector<float> y(At(kT * C));
      const GeluArgs a{kT, C, form, x.data(), stride, y.data()};
      Kernels<GeluArgs>().Pick(a, kReferenceOnly).run(a, {nullptr});
      const std::vector<uint32_t> want = Bits(y);
      for (int64_t t = 0; t < kT; ++t) {
        for (int64_t c = 0; c < C; ++c) {
          const float v = x[At(t * stride + c)];
          if (std::isinf(v)) continue;
          const double exact = Exact(form, v);
          EXPECT_NEAR(y[At(t * C + c)], exact, std::fabs(exact) * 5e-7 + 1e-42) << v;
        }
      }
      const int kernels = ForEachKernel<GeluArgs>(a, [&](const std::string& name, auto call) {
        std::ranges::fill(y, kNan);
        call();
        EXPECT_EQ(Bits(y), want) << name << " C " << C;
      });
      EXPECT_GE(kernels, 2 * static_cast<int>(AvailableIsas().size()) - 1);
    }
  }
}

TEST(Gelu, Infinities) {
  for (const GeluForm form : kForms) {
    std::vector<float> x(40, kInfinity), y(40);
    std::fill_n(x.begin(), 20, -kInfinity);
    const GeluArgs a{2, 20, form, x.data(), 20, y.data()};
    ForEachKernel<GeluArgs>(a, [&](const std::string& name, auto call) {
      call();
      EXPECT_EQ(std::ranges::count(y, 0.0f), 20) << name;
      EXPECT_EQ(std::ranges::count(y, kInfinity), 20) << name;
    });
  }
}

TEST(Gelu, WorksInPlace) {
  constexpr int64_t kT = 3, kC = 37;
  for (const GeluForm form : kForms) {
    const std::vector<float> x = Values(kT * kC);
    std::vector<float> want(x.size()), inout;
    GeluArgs a{kT, kC, form, x.data(), kC, want.data()};
    Kernels<GeluArgs>().Pick(a, kReferenceOnly).run(a, {nullptr});
    inout = x;
    a.x = a.y = inout.data();
    ForEachKernel<GeluArgs>(a, [&](const std::string& name, auto call) {
      inout = x;
      call();
      EXPECT_EQ(Bits(inout), Bits(want)) << name;
    });
  }
}

TEST(Gelu, NanStaysInItsChannel) {
  for (const GeluForm form : kForms) {
    std::vector<float> x(37, 1.5f), y(37);
    x[5] = x[36] = kNan;
    const GeluArgs a{1, 37, form, x.data(), 37, y.data()};
    ForEachKernel<GeluArgs>(a, [&](const std::string& name, auto call) {
      call();
      for (size_t c = 0; c < y.size(); ++c) {
        EXPECT_EQ(std::isnan(y[c]), c == 5 || c == 36) << name << " " << c;
      }
    });
  }
}

}  // namespace
}  // namespace octet
