#include "kernels/softplus.h"

#include <algorithm>
#include <cstdint>

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/softplus.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/kernel.h"
#include "kernels/math.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

void Softplus(const SoftplusArgs& a) {
  const hn::ScalableTag<float> d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  const auto lo = hn::Set(d, a.lo);
  const auto hi = hn::Set(d, a.hi);
  for (int64_t t = 0; t < a.T; ++t) {
    const float* x = a.x + t * a.x_stride;
    float* y = a.y + t * a.C;
    int64_t c = 0;
    for (; c + N <= a.C; c += N) {
      const auto v = SoftplusV(d, hn::Add(hn::LoadU(d, x + c), hn::LoadU(d, a.bias + c)));
      const auto below = hn::IfThenElse(hn::Gt(v, hi), hi, v);
      hn::StoreU(hn::IfThenElse(hn::Lt(v, lo), lo, below), d, y + c);
    }
    for (; c < a.C; ++c) {
      y[c] = std::clamp(SoftplusF(x[c] + a.bias[c]), a.lo, a.hi);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(Softplus);

void Run(const SoftplusArgs& a, const Workspace&) {
  HWY_DYNAMIC_DISPATCH(Softplus)(a);
}

}  // namespace

extern const Kernel<SoftplusArgs> kSoftplusHwy = {"softplus/hwy", Isa::kHwy, 10, Run,
                                                  WhyNotHwy,      NoScratch};

}  // namespace octet
#endif  // HWY_ONCE
