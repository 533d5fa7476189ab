// Contracts: ForceIsa decides which target is called; on every compiled target the machine has,
// ExpV, SiluV, SigmoidV, GeluV, PiecewiseGeluV, SoftplusV, QuantizeV, DequantizeV and the folds of
// Lanes16 give the bits of ExpF, SiluF, SigmoidF, GeluF, PiecewiseGeluF, SoftplusF, QuantizeI8,
// DequantizeAcc and FoldLanes16.
#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/math_test.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

int64_t Target() {
  return HWY_TARGET;
}

// y [6, n]: each function of x [n], in the order of kElementary.
void Elementary(const float* x, int64_t n, float* y) {
  const hn::ScalableTag<float> d;
  for (int64_t i = 0; i < n; i += static_cast<int64_t>(hn::Lanes(d))) {
    const auto v = hn::LoadU(d, x + i);
    hn::StoreU(ExpV(d, v), d, y + i);
    hn::StoreU(SiluV(d, v), d, y + n + i);
    hn::StoreU(SigmoidV(d, v), d, y + 2 * n + i);
    hn::StoreU(GeluV(d, v), d, y + 3 * n + i);
    hn::StoreU(PiecewiseGeluV(d, v), d, y + 4 * n + i);
    hn::StoreU(SoftplusV(d, v), d, y + 5 * n + i);
  }
}

void Codes(const float* x, int64_t n, float inverse, int8_t* codes, float* back) {
  const hn::ScalableTag<float> d;
  for (int64_t i = 0; i < n; i += static_cast<int64_t>(hn::Lanes(d))) {
    StoreCodes(d, QuantizeV(d, hn::LoadU(d, x + i), hn::Set(d, inverse)), codes + i);
    hn::StoreU(LoadCodes(d, codes + i), d, back + i);
  }
}

void Dequantize(const int32_t* acc, int64_t n, double scale, float* y) {
  const hn::ScalableTag<float> d;
  const hn::ScalableTag<int32_t> di;
  for (int64_t i = 0; i < n; i += static_cast<int64_t>(hn::Lanes(d))) {
    hn::StoreU(DequantizeV(d, hn::LoadU(di, acc + i), scale), d, y + i);
  }
}

void Dot(const float* a, const float* b, int64_t n, float* y) {
  Lanes16 sum;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    sum.MulAdd(a + i, b + i);
  }
  *y = n % 16 == 0 ? sum.Fold() : sum.Fold(a + i, b + i, n - i);
}

void Fold(const float* lanes, float* y) {
  *y = Lanes16(lanes).Fold();
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <bit>
#include <functional>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "kernels/isa.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

HWY_EXPORT(Target);
HWY_EXPORT(Elementary);
HWY_EXPORT(Codes);
HWY_EXPORT(Dequantize);
HWY_EXPORT(Dot);
HWY_EXPORT(Fold);

void OnEachTarget(const std::function<void()>& check) {
  for (const std::string& isa : AvailableIsas()) {
    if (isa == "ref") continue;
    SCOPED_TRACE(isa);
    ASSERT_TRUE(ForceIsa(isa).ok());
    check();
  }
  ASSERT_TRUE(ForceIsa("").ok());
}

uint32_t Bits(float v) {
  return std::bit_cast<uint32_t>(v);
}

TEST(HwyMath, ForceIsaDecidesTheDispatch) {
  std::vector<int64_t> targets;
  OnEachTarget([&] { targets.push_back(HWY_DYNAMIC_DISPATCH(Target)()); });
  for (size_t i = 0; i < targets.size(); ++i) {
    const std::string name = AvailableIsas()[i];
    const int64_t expected = name.starts_with("avx512") || name == "amx" ? HWY_AVX3
                             : name.starts_with("avx")                   ? HWY_AVX2
                                                                         : HWY_NEON;
    EXPECT_EQ(targets[i], expected) << name;
  }
}

struct Function {
  const char* name;
  float (*scalar)(float);
};
constexpr Function kElementary[] = {{"exp", ExpF},
                                    {"silu", SiluF},
                                    {"sigmoid", SigmoidF},
                                    {"gelu", GeluF},
                                    {"piecewise gelu", PiecewiseGeluF},
                                    {"softplus", SoftplusF}};

TEST(HwyMath, ElementaryFunctionsHaveTheScalarBits) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> x = {0.0f,       -0.0f,    1e-30f, -87.33f, -87.330009f, 88.37f,
                          88.370009f, 1e30f,    -1e30f, 1e-40f,  -1e-40f,     kInfinity,
                          -kInfinity, -13.215f, 14.0f,  -14.0f,  -2.0f,       2.0f};
  Rng rng(11);
  while (x.size() < 32768) {
    x.push_back(rng.Uniform(-100.0f, 100.0f));
  }
  while (x.size() < 65536) {
    x.push_back(rng.Uniform(-14.0f, 14.0f));
  }
  std::vector<float> y(std::size(kElementary) * x.size());
  OnEachTarget([&] {
    HWY_DYNAMIC_DISPATCH(Elementary)(x.data(), static_cast<int64_t>(x.size()), y.data());
    for (size_t i = 0; i < y.size(); ++i) {
      const Function& f = kElementary[i / x.size()];
      const float v = x[i % x.size()];
      ASSERT_EQ(Bits(y[i]), Bits(f.scalar(v))) << f.name << " of " << v;
    }
  });
}

TEST(HwyMath, NanStaysNan) {
  const std::vector<float> x(16, std::numeric_limits<float>::quiet_NaN());
  std::vector<float> y(std::size(kElementary) * x.size());
  OnEachTarget([&] {
    HWY_DYNAMIC_DISPATCH(Elementary)(x.data(), 16, y.data());
    for (size_t i = 0; i < y.size(); ++i) {
      EXPECT_TRUE(std::isnan(y[i])) << kElementary[i / x.size()].name;
    }
  });
}

TEST(HwyMath, CodesHaveTheScalarValues) {
  std::vector<float> x;
  for (int i = -600; i < 600; ++i) {
    x.push_back(static_cast<float>(i) * 0.25f);  // halves at the scale 1/2 and 1
  }
  x.resize(1216, 1e30f);
  std::vector<int8_t> codes(x.size());
  std::vector<float> back(x.size());
  OnEachTarget([&] {
    for (const float inverse : {1.0f, 2.0f, 1.0f / 0.37f}) {
      HWY_DYNAMIC_DISPATCH(Codes)
      (x.data(), static_cast<int64_t>(x.size()), inverse, codes.data(), back.data());
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(codes[i], QuantizeI8(x[i], inverse)) << x[i];
        ASSERT_EQ(back[i], static_cast<float>(codes[i]));
      }
    }
  });
}

TEST(HwyMath, DequantizeRoundsOnce) {
  Rng rng(12);
  std::vector<int32_t> acc(4096);
  for (int32_t& v : acc) {
    v = static_cast<int32_t>(rng.Next() >> (32 + rng.Below(24)));
    if (rng.Below(2) == 0) v = -v;
  }
  std::vector<float> y(acc.size());
  const float a = RoundScale(0.0123f);
  const float b = RoundScale(0.777f);
  OnEachTarget([&] {
    HWY_DYNAMIC_DISPATCH(Dequantize)
    (acc.data(), static_cast<int64_t>(acc.size()), static_cast<double>(a) * b, y.data());
    for (size_t i = 0; i < acc.size(); ++i) {
      ASSERT_EQ(Bits(y[i]), Bits(DequantizeAcc(acc[i], a, b))) << acc[i];
    }
  });
}

TEST(HwyMath, LanesFoldLikeTheScalars) {
  Rng rng(13);
  for (const int64_t n : {1, 7, 15, 16, 17, 31, 64, 100, 1000}) {
    std::vector<float> a(static_cast<size_t>(n));
    std::vector<float> b(static_cast<size_t>(n));
    float lanes[16] = {};
    for (size_t i = 0; i < a.size(); ++i) {
      a[i] = rng.Uniform(-1.0f, 1.0f);
      b[i] = rng.Uniform(-1.0f, 1.0f);
      lanes[i % 16] = std::fma(a[i], b[i], lanes[i % 16]);
    }
    const std::vector<float> before(lanes, lanes + 16);
    const float expected = FoldLanes16(lanes);
    OnEachTarget([&] {
      float y = 0;
      HWY_DYNAMIC_DISPATCH(Dot)(a.data(), b.data(), n, &y);
      EXPECT_EQ(Bits(y), Bits(expected)) << n;
      HWY_DYNAMIC_DISPATCH(Fold)(before.data(), &y);
      EXPECT_EQ(Bits(y), Bits(expected)) << n << " from memory";
    });
  }
}

}  // namespace
}  // namespace octet
#endif  // HWY_ONCE
