#include "kernels/layernorm.h"

#include <cmath>
#include <cstdint>

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/layernorm.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/kernel.h"
#include "kernels/math.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

// The sum of x [n] in 16 virtual lanes.
float Sum(const float* x, int64_t n) {
  const Lanes16::D d;
  Lanes16 sum;
  int64_t c = 0;
  for (; c + 16 <= n; c += 16) {
    for (int i = 0; i < Lanes16::kVectors; ++i) {
      sum.AddVector(i, hn::LoadU(d, x + c + i * static_cast<int64_t>(hn::Lanes(d))));
    }
  }
  float lanes[16];
  sum.Store(lanes);
  for (int64_t i = c; i < n; ++i) {
    lanes[i - c] += x[i];
  }
  return FoldLanes16(lanes);
}

// The same of (x - mean)^2.
float SumSquares(const float* x, int64_t n, float mean) {
  const Lanes16::D d;
  Lanes16 sum;
  int64_t c = 0;
  for (; c + 16 <= n; c += 16) {
    for (int i = 0; i < Lanes16::kVectors; ++i) {
      const auto at = c + i * static_cast<int64_t>(hn::Lanes(d));
      const auto v = hn::Sub(hn::LoadU(d, x + at), hn::Set(d, mean));
      sum.MulAddVector(i, v, v);
    }
  }
  float lanes[16];
  sum.Store(lanes);
  for (int64_t i = c; i < n; ++i) {
    const float v = x[i] - mean;
    lanes[i - c] = std::fma(v, v, lanes[i - c]);
  }
  return FoldLanes16(lanes);
}

void Layernorm(const LayernormArgs& a) {
  const hn::ScalableTag<float> d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  const auto count = static_cast<float>(a.C);
  for (int64_t t = 0; t < a.T; ++t) {
    const float* x = a.x + t * a.x_stride;
    float* y = a.y + t * a.C;
    const float mean = Sum(x, a.C) / count;
    const float variance = SumSquares(x, a.C, mean) / count;
    const float inverse = 1.0f / std::sqrt(variance + a.eps);
    int64_t c = 0;
    for (; c + N <= a.C; c += N) {
      const auto v = hn::Sub(hn::LoadU(d, x + c), hn::Set(d, mean));
      const auto normed = hn::Mul(v, hn::Set(d, inverse));
      hn::StoreU(hn::MulAdd(normed, hn::LoadU(d, a.weight + c), hn::LoadU(d, a.bias + c)), d,
                 y + c);
    }
    for (; c < a.C; ++c) {
      y[c] = std::fma((x[c] - mean) * inverse, a.weight[c], a.bias[c]);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(Layernorm);

void Run(const LayernormArgs& a, const Workspace&) {
  HWY_DYNAMIC_DISPATCH(Layernorm)(a);
}

}  // namespace

extern const Kernel<LayernormArgs> kLayernormHwy = {"layernorm/hwy", Isa::kHwy, 10, Run,
                                                    WhyNotHwy,       NoScratch};

}  // namespace octet
#endif  // HWY_ONCE
