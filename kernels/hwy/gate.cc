#include "kernels/gate.h"

#include <cstdint>

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/gate.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/kernel.h"
#include "kernels/math.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

void Gate(const GateArgs& a) {
  const hn::ScalableTag<float> d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t t = 0; t < a.T; ++t) {
    const float* y = a.y + t * a.y_stride;
    const float* z = a.z + t * a.z_stride;
    float* out = a.out + t * a.C;
    int64_t c = 0;
    for (; c + N <= a.C; c += N) {
      hn::StoreU(hn::Mul(hn::LoadU(d, y + c), SiluV(d, hn::LoadU(d, z + c))), d, out + c);
    }
    for (; c < a.C; ++c) {
      out[c] = y[c] * SiluF(z[c]);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(Gate);

void Run(const GateArgs& a, const Workspace&) {
  HWY_DYNAMIC_DISPATCH(Gate)(a);
}

}  // namespace

extern const Kernel<GateArgs> kGateHwy = {"gate/hwy", Isa::kHwy, 10, Run, WhyNotHwy, NoScratch};

}  // namespace octet
#endif  // HWY_ONCE
