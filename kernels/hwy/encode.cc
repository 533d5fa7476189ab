#include "kernels/encode.h"

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/encode.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/codec-inl.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/kernel.h"
#include "tensor/codecs/segmented.h"
#include "tensor/codecs/soft_edge.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

using codecs::D;
using codecs::DI;
using codecs::MagnitudeV;
using codecs::RoundAway;
using codecs::UnitsV;
using codecs::V;
using codecs::VI;

// Each codec: Encode gives its codes as int32, Decode the floats of such codes.
struct Asymmetric {
  static HWY_INLINE VI Encode(V x, V scale, VI zero) {
    const D d;
    const V inverse = hn::Div(hn::Set(d, 1.0f), scale);
    const V z = hn::ConvertTo(d, zero);
    const V code = hn::Add(hn::Round(hn::Mul(x, inverse)), z);
    const V limited = hn::Min(hn::Max(code, hn::Zero(d)), hn::Set(d, 255.0f));
    return hn::ConvertTo(DI(), hn::IfThenElse(hn::IsNaN(code), z, limited));
  }
  static HWY_INLINE V Decode(VI code, V scale, VI zero) {
    return hn::Mul(scale, hn::ConvertTo(D(), hn::Sub(code, zero)));
  }
};

struct Int16 {
  static HWY_INLINE VI Encode(V x, V scale, VI /*zero*/) {
    return codecs::Int16::Units(x, scale, hn::Div(hn::Set(D(), 1.0f), scale));
  }
  static HWY_INLINE V Decode(VI code, V scale, VI /*zero*/) {
    return hn::Mul(hn::ConvertTo(D(), code), hn::Mul(hn::Set(D(), 0.25f), scale));
  }
};

template <class Edge>
struct SignedSoftEdge {
  static HWY_INLINE VI Encode(V x, V scale, VI /*zero*/) { return Edge::Code(x, scale); }
  static HWY_INLINE V Decode(VI code, V scale, VI /*zero*/) {
    const D d;
    return hn::Mul(hn::ConvertTo(d, Edge::UnitsOfCode(code)), hn::Mul(hn::Set(d, 0.25f), scale));
  }
};
using Se9 = SignedSoftEdge<codecs::Se9>;
using Se8s = SignedSoftEdge<codecs::Se8s>;

struct Se8u {
  static HWY_INLINE VI Encode(V x, V scale, VI zero) {
    const D d;
    const DI di;
    const V a = hn::Div(hn::Abs(x), scale);
    const V z = hn::ConvertTo(d, zero);
    const V below = hn::Neg(hn::Min(RoundAway(hn::Mul(hn::Set(d, 4.0f), a)), z));
    const V above = MagnitudeV(kSoftEdge9, a, hn::Sub(hn::Set(d, 255.0f), z));
    const V t = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), below, above);
    return hn::Add(zero, hn::ConvertTo(di, t));
  }
  static HWY_INLINE V Decode(VI code, V scale, VI zero) {
    const D d;
    return hn::Mul(hn::ConvertTo(d, UnitsV(kSoftEdge9, hn::Sub(code, zero))),
                   hn::Mul(hn::Set(d, 0.25f), scale));
  }
};

struct Seg8 {
  static HWY_INLINE VI Encode(V x, V scale, VI zero) {
    const D d;
    const DI di;
    const V a = hn::Div(hn::Abs(x), scale);
    const V z = hn::ConvertTo(d, zero);
    const V below = hn::Neg(hn::Min(RoundAway(a), z));
    const V limited =
        hn::IfThenElseZero(hn::Gt(a, hn::Zero(d)), hn::Min(a, hn::Set(d, kSeg8Limit)));
    const VI bits = hn::ShiftRight<23>(hn::BitCast(di, limited));
    const VI e = hn::Max(hn::Sub(bits, hn::Set(di, 127 + 5)), hn::Zero(di));
    const V inverse_step = hn::BitCast(d, hn::ShiftLeft<23>(hn::Sub(hn::Set(di, 127), e)));
    const VI q = hn::ConvertTo(di, RoundAway(hn::Mul(limited, inverse_step)));
    const VI above = hn::Min(hn::Add(hn::ShiftLeft<5>(e), q), hn::Sub(hn::Set(di, 255), zero));
    const auto negative = hn::RebindMask(di, hn::Lt(x, hn::Zero(d)));
    return hn::Add(zero, hn::IfThenElse(negative, hn::ConvertTo(di, below), above));
  }
  static HWY_INLINE V Decode(VI code, V scale, VI zero) {
    const D d;
    const DI di;
    const VI t = hn::Sub(code, zero);
    const VI e = hn::Max(hn::Sub(hn::ShiftRight<5>(t), hn::Set(di, 1)), hn::Zero(di));
    // 2^e as a float: the product with at most 6 bits is exact.
    const V step = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(e, hn::Set(di, 127))));
    const VI wide = hn::Add(hn::And(t, hn::Set(di, 31)), hn::Set(di, 32));
    const VI q = hn::IfThenElse(hn::Lt(t, hn::Set(di, 64)), t, wide);
    return hn::Mul(hn::Mul(hn::ConvertTo(d, q), step), scale);
  }
};

HWY_INLINE void StoreV(Codec codec, VI code, void* codes, int64_t i) {
  if (CodeBytes(codec) == 2) {
    const hn::Rebind<int16_t, D> d16;
    hn::StoreU(hn::DemoteTo(d16, code), d16, static_cast<int16_t*>(codes) + i);
  } else if (HasZero(codec)) {
    const hn::Rebind<uint8_t, D> d8;
    hn::StoreU(hn::DemoteTo(d8, code), d8, static_cast<uint8_t*>(codes) + i);
  } else {
    StoreCodes(D(), code, static_cast<int8_t*>(codes) + i);
  }
}

// `scale`, `zero`: of every channel.
template <class Code>
void EncodeRow(const EncodeArgs& a, int64_t t, const float* scale, const int32_t* zero) {
  const D d;
  const DI di;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  const float* x = a.x + t * a.x_stride;
  float* y = a.y == nullptr ? nullptr : a.y + t * a.y_stride;
  int64_t c = 0;
  for (; c + N <= a.C; c += N) {
    const V s = hn::LoadU(d, scale + c);
    const VI z = hn::LoadU(di, zero + c);
    const VI code = Code::Encode(hn::LoadU(d, x + c), s, z);
    if (a.codes != nullptr) StoreV(a.codec, code, a.codes, t * a.C + c);
    if (y != nullptr) hn::StoreU(Code::Decode(code, s, z), d, y + c);
  }
  for (; c < a.C; ++c) {
    const int code = EncodeValue(a.codec, x[c], scale[c], zero[c]);
    if (a.codes != nullptr) StoreCode(a.codec, code, a.codes, t * a.C + c);
    if (y != nullptr) y[c] = DecodeValue(a.codec, code, scale[c], zero[c]);
  }
}

template <class Code>
void EncodeRows(const EncodeArgs& a, const float* scale, const int32_t* zero) {
  for (int64_t t = 0; t < a.T; ++t) {
    EncodeRow<Code>(a, t, scale, zero);
  }
}

void Encode(const EncodeArgs& a, void* scratch) {
  auto* scale = static_cast<float*>(scratch);
  auto* zero = reinterpret_cast<int32_t*>(scale + a.C);
  for (int64_t c = 0; c < a.C; ++c) {
    const int64_t s = c * a.n_scales / a.C;
    scale[c] = a.scales[s];
    zero[c] = a.zeros == nullptr ? 0 : a.zeros[s];
  }
  switch (a.codec) {
    case Codec::kUniform:
      break;
    case Codec::kAsymmetric:
      return EncodeRows<Asymmetric>(a, scale, zero);
    case Codec::kInt16:
      return EncodeRows<Int16>(a, scale, zero);
    case Codec::kSe9:
      return EncodeRows<Se9>(a, scale, zero);
    case Codec::kSe8u:
      return EncodeRows<Se8u>(a, scale, zero);
    case Codec::kSe8s:
      return EncodeRows<Se8s>(a, scale, zero);
    case Codec::kSeg8:
      return EncodeRows<Seg8>(a, scale, zero);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(Encode);

void Run(const EncodeArgs& a, const Workspace& w) {
  HWY_DYNAMIC_DISPATCH(Encode)(a, w.scratch);
}

int64_t ScratchBytes(const EncodeArgs& a) {
  return a.C * static_cast<int64_t>(sizeof(float) + sizeof(int32_t));
}

}  // namespace

extern const Kernel<EncodeArgs> kEncodeHwy = {"encode/hwy", Isa::kHwy, 10,
                                              Run,          WhyNotHwy, ScratchBytes};

}  // namespace octet
#endif  // HWY_ONCE
