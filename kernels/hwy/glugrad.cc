#include "kernels/glugrad.h"

#include <cstdint>

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/glugrad.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/kernel.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

// As many channels of a row as `d` has lanes, from c.
template <class DF>
HWY_INLINE void AddSome(DF d, const GlugradArgs& a, int64_t m, int64_t c) {
  const int64_t v = 2 * m * a.C + c, w = v + a.C;
  const auto s = SigmoidV(d, hn::LoadU(d, a.x + w));
  const auto dy_s = hn::Mul(hn::LoadU(d, a.dy + m * a.C + c), s);
  hn::StoreU(hn::Add(hn::LoadU(d, a.dx + v), dy_s), d, a.dx + v);
  const auto slope = hn::Mul(hn::LoadU(d, a.x + v), hn::Sub(hn::Set(d, 1.0f), s));
  hn::StoreU(hn::MulAdd(dy_s, slope, hn::LoadU(d, a.dx + w)), d, a.dx + w);
}

void Glugrad(const GlugradArgs& a) {
  const hn::ScalableTag<float> d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t m = 0; m < a.M; ++m) {
    int64_t c = 0;
    for (; c + N <= a.C; c += N) {
      AddSome(d, a, m, c);
    }
    for (; c < a.C; ++c) {
      AddSome(hn::CappedTag<float, 1>(), a, m, c);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(Glugrad);

void Run(const GlugradArgs& a, const Workspace&) {
  HWY_DYNAMIC_DISPATCH(Glugrad)(a);
}

}  // namespace

extern const Kernel<GlugradArgs> kGlugradHwy = {"glugrad/hwy", Isa::kHwy, 10,
                                                Run,           WhyNotHwy, NoScratch};

}  // namespace octet
#endif  // HWY_ONCE
