#include "kernels/glu.h"

#include <cstdint>

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/glu.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/kernel.h"
#include "kernels/math.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

void Glu(const GluArgs& a) {
  const hn::ScalableTag<float> d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t t = 0; t < a.T; ++t) {
    const float* x = a.x + t * a.x_stride;
    const float* gate = x + a.C;
    float* y = a.y + t * a.C;
    int64_t c = 0;
    for (; c + N <= a.C; c += N) {
      hn::StoreU(hn::Mul(hn::LoadU(d, x + c), SigmoidV(d, hn::LoadU(d, gate + c))), d, y + c);
    }
    for (; c < a.C; ++c) {
      y[c] = x[c] * SigmoidF(gate[c]);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(Glu);

void Run(const GluArgs& a, const Workspace&) {
  HWY_DYNAMIC_DISPATCH(Glu)(a);
}

}  // namespace

extern const Kernel<GluArgs> kGluHwy = {"glu/hwy", Isa::kHwy, 10, Run, WhyNotHwy, NoScratch};

}  // namespace octet
#endif  // HWY_ONCE
