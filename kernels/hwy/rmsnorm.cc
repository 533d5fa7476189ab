#include "kernels/rmsnorm.h"

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/rmsnorm.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/kernel.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

// y = v; the sum of v^2 in 16 virtual lanes. Fetches `next`: what `gate` is of this token, or x
// where there is none, of the next.
float GateAndSum(const float* x, const float* gate, const float* next, int64_t n, float* y) {
  const Lanes16::D d;
  Lanes16 sum;
  int64_t c = 0;
  for (; c + 16 <= n; c += 16) {
    __builtin_prefetch(next + c);
    for (int i = 0; i < Lanes16::kVectors; ++i) {
      const int64_t at = c + i * static_cast<int64_t>(hn::Lanes(d));
      auto v = hn::LoadU(d, x + at);
      if (gate != nullptr) v = hn::Mul(v, SiluV(d, hn::LoadU(d, gate + at)));
      hn::StoreU(v, d, y + at);
      sum.MulAddVector(i, v, v);
    }
  }
  for (int64_t i = c; i < n; ++i) {
    y[i] = gate == nullptr ? x[i] : x[i] * SiluF(gate[i]);
  }
  return sum.Fold(y + c, y + c, n - c);
}

void ScaleInPlace(float inverse, const float* weight, int64_t n, float* y) {
  const hn::ScalableTag<float> d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  const auto factor = hn::Set(d, inverse);
  int64_t c = 0;
  for (; c + N <= n; c += N) {
    auto v = hn::Mul(hn::LoadU(d, y + c), factor);
    if (weight != nullptr) v = hn::Mul(v, hn::LoadU(d, weight + c));
    hn::StoreU(v, d, y + c);
  }
  for (; c < n; ++c) {
    const float v = y[c] * inverse;
    y[c] = weight == nullptr ? v : v * weight[c];
  }
}

void Rmsnorm(const RmsnormArgs& a) {
  const int64_t n = a.C / a.groups;
  for (int64_t t = 0; t < a.T; ++t) {
    for (int64_t c = 0; c < a.C; c += n) {
      const float* gate = a.gate == nullptr ? nullptr : a.gate + t * a.gate_stride + c;
      float* y = a.y + t * a.C + c;
      const float* x = a.x + t * a.x_stride + c;
      const float* next = gate == nullptr ? x + a.x_stride : gate + a.gate_stride;
      const float sum = GateAndSum(x, gate, next, n, y);
      const float mean = sum / static_cast<float>(n);
      const float inverse = 1.0f / std::sqrt(mean + a.eps);
      ScaleInPlace(inverse, a.weight == nullptr ? nullptr : a.weight + c, n, y);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(Rmsnorm);

void Run(const RmsnormArgs& a, const Workspace&) {
  HWY_DYNAMIC_DISPATCH(Rmsnorm)(a);
}

}  // namespace

extern const Kernel<RmsnormArgs> kRmsnormHwy = {"rmsnorm/hwy", Isa::kHwy, 10,
                                                Run,           WhyNotHwy, NoScratch};

}  // namespace octet
#endif  // HWY_ONCE
