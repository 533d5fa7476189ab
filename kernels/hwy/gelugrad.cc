#include "kernels/gelugrad.h"

#include <cstdint>

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/gelugrad.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/kernel.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

template <GeluForm kForm, class DF, class V = hn::VFromD<DF>>
HWY_INLINE V SlopeV(DF df, V x) {
  const V one = hn::Set(df, 1.0f);
  if constexpr (kForm == GeluForm::kPiecewise) {
    const V half = hn::Set(df, 0.5f), two = hn::Set(df, 2.0f);
    const V inside = hn::MulAdd(x, half, half);
    return hn::IfThenZeroElse(hn::Lt(x, hn::Neg(two)), hn::IfThenElse(hn::Gt(x, two), one, inside));
  }
  const V limit = hn::Set(df, 14.0f), magnitude = hn::Abs(x);
  V e, q;
  NormalTailV(df, hn::IfThenElse(hn::Gt(magnitude, limit), limit, magnitude), &e, &q);
  const V tail = hn::Mul(e, q);
  const V probability = hn::IfThenElse(hn::Gt(x, hn::Zero(df)), hn::Sub(one, tail), tail);
  return hn::MulAdd(hn::Mul(x, hn::Set(df, 0.398942280401432678f)), e, probability);
}

// As many values as `d` has lanes, from index i.
template <GeluForm kForm, class DF>
HWY_INLINE void AddSome(DF d, const GelugradArgs& a, int64_t i) {
  const auto slope = SlopeV<kForm>(d, hn::LoadU(d, a.x + i));
  hn::StoreU(hn::MulAdd(hn::LoadU(d, a.dy + i), slope, hn::LoadU(d, a.dx + i)), d, a.dx + i);
}

template <GeluForm kForm>
void AddGradient(const GelugradArgs& a) {
  const hn::ScalableTag<float> d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + N <= a.count; i += N) {
    AddSome<kForm>(d, a, i);
  }
  for (; i < a.count; ++i) {
    AddSome<kForm>(hn::CappedTag<float, 1>(), a, i);
  }
}

void Gelugrad(const GelugradArgs& a) {
  if (a.form == GeluForm::kExact) {
    AddGradient<GeluForm::kExact>(a);
  } else {
    AddGradient<GeluForm::kPiecewise>(a);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(Gelugrad);

void Run(const GelugradArgs& a, const Workspace&) {
  HWY_DYNAMIC_DISPATCH(Gelugrad)(a);
}

}  // namespace

extern const Kernel<GelugradArgs> kGelugradHwy = {"gelugrad/hwy", Isa::kHwy, 10, Run,
                                                  WhyNotHwy,      NoScratch};

}  // namespace octet
#endif  // HWY_ONCE
