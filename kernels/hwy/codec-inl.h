// Vector forms of the codecs with units (tensor/codec.h) and of the soft edge: lane for lane the
// same integers and floats as the scalars of tensor/codecs/.
//
// Included once per target, after kernels/hwy/math-inl.h.
#if defined(OCTET_KERNELS_HWY_CODEC_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OCTET_KERNELS_HWY_CODEC_INL_H_
#undef OCTET_KERNELS_HWY_CODEC_INL_H_
#else
#define OCTET_KERNELS_HWY_CODEC_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "tensor/codecs/int16.h"
#include "tensor/codecs/soft_edge.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {
namespace codecs {

using D = hn::ScalableTag<float>;
using DI = hn::RebindToSigned<D>;
using V = hn::VFromD<D>;
using VI = hn::VFromD<DI>;

// std::round of each lane, for lanes that are not negative.
HWY_INLINE V RoundAway(V v) {
  const D d;
  const V whole = hn::Trunc(v);
  const auto up = hn::Ge(hn::Sub(v, whole), hn::Set(d, 0.5f));
  return hn::Add(whole, hn::IfThenElseZero(up, hn::Set(d, 1.0f)));
}

// SoftEdge::Magnitude of each lane.
HWY_INLINE V MagnitudeV(const SoftEdge& e, V a, V ceiling) {
  const D d;
  const V fine = RoundAway(hn::Mul(hn::Set(d, 4.0f), a));
  const V offset = hn::Set(d, static_cast<float>(e.middle_offset()));
  const V middle = hn::Add(RoundAway(a), offset);
  const V middle_end = hn::Set(d, e.middle_end());
  const V steps = RoundAway(hn::Mul(hn::Set(d, 0.25f), hn::Sub(a, middle_end)));
  const V coarse = hn::Min(hn::Add(hn::Set(d, static_cast<float>(e.coarse)), steps), ceiling);
  const V m = hn::IfThenElse(hn::Le(a, hn::Set(d, e.fine_end())), fine,
                             hn::IfThenElse(hn::Le(a, middle_end), middle, coarse));
  return hn::IfThenElseZero(hn::Gt(a, hn::Zero(d)), m);  // zero for NaN
}

// SoftEdge::Units of each lane.
HWY_INLINE VI UnitsV(const SoftEdge& e, VI m) {
  const DI di;
  const VI zero = hn::Zero(di);
  const VI middle = hn::Max(hn::Sub(m, hn::Set(di, e.fine)), zero);
  const VI coarse = hn::Max(hn::Sub(m, hn::Set(di, e.coarse)), zero);
  const VI three = hn::Add(middle, hn::ShiftLeft<1>(middle));
  const VI twelve = hn::ShiftLeft<2>(hn::Add(coarse, hn::ShiftLeft<1>(coarse)));
  return hn::Add(m, hn::Add(three, twelve));
}

// Each codec with units: Units gives EncodeUnits of each lane; `inverse` is 1 / scale.
struct Uniform {
  static HWY_INLINE VI Units(V x, V /*scale*/, V inverse) { return QuantizeV(D(), x, inverse); }
};

struct Int16 {
  static HWY_INLINE VI Units(V x, V /*scale*/, V inverse) {
    const D d;
    const V code = hn::Round(hn::Mul(x, hn::Mul(hn::Set(d, 4.0f), inverse)));
    const V limit = hn::Set(d, static_cast<float>(kInt16MaxCode));
    const V limited = hn::Min(hn::Max(code, hn::Neg(limit)), limit);
    return hn::ConvertTo(DI(), hn::IfThenElseZero(hn::Eq(code, code), limited));
  }
};

template <int kFine, int kCoarse, int kMaxCode>
struct SignedSoftEdge {
  static constexpr SoftEdge kEdge = {kFine, kCoarse};
  static HWY_INLINE VI Code(V x, V scale) {
    const D d;
    const V m =
        MagnitudeV(kEdge, hn::Div(hn::Abs(x), scale), hn::Set(d, static_cast<float>(kMaxCode)));
    return hn::ConvertTo(DI(), hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Neg(m), m));
  }
  static HWY_INLINE VI UnitsOfCode(VI code) {
    const VI units = UnitsV(kEdge, hn::Abs(code));
    return hn::IfThenElse(hn::Lt(code, hn::Zero(DI())), hn::Neg(units), units);
  }
  static HWY_INLINE VI Units(V x, V scale, V /*inverse*/) { return UnitsOfCode(Code(x, scale)); }
};
using Se9 = SignedSoftEdge<kSoftEdge9.fine, kSoftEdge9.coarse, kSe9MaxCode>;
using Se8s = SignedSoftEdge<kSoftEdge8s.fine, kSoftEdge8s.coarse, kSe8sMaxCode>;

}  // namespace codecs
}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#endif  // OCTET_KERNELS_HWY_CODEC_INL_H_
