#include "kernels/gelu.h"

#include <cstdint>

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/gelu.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/kernel.h"
#include "kernels/math.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

template <GeluForm kForm>
void GeluRows(const GeluArgs& a) {
  constexpr bool kExact = kForm == GeluForm::kExact;
  const hn::ScalableTag<float> d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t t = 0; t < a.T; ++t) {
    const float* x = a.x + t * a.x_stride;
    float* y = a.y + t * a.C;
    int64_t c = 0;
    for (; c + N <= a.C; c += N) {
      const auto v = hn::LoadU(d, x + c);
      hn::StoreU(kExact ? GeluV(d, v) : PiecewiseGeluV(d, v), d, y + c);
    }
    for (; c < a.C; ++c) {
      y[c] = kExact ? GeluF(x[c]) : PiecewiseGeluF(x[c]);
    }
  }
}

void Gelu(const GeluArgs& a) {
  if (a.form == GeluForm::kExact) {
    GeluRows<GeluForm::kExact>(a);
  } else {
    GeluRows<GeluForm::kPiecewise>(a);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(Gelu);

void Run(const GeluArgs& a, const Workspace&) {
  HWY_DYNAMIC_DISPATCH(Gelu)(a);
}

}  // namespace

extern const Kernel<GeluArgs> kGeluHwy = {"gelu/hwy", Isa::kHwy, 10, Run, WhyNotHwy, NoScratch};

}  // namespace octet
#endif  // HWY_ONCE
