// Vector forms of kernels/math.h and codecs/uniform.h: lane for lane the same bits as the scalars.
//
// Included once per target by kernels/hwy/*.cc, after hwy/foreach_target.h and hwy/highway.h.
// Vectors have 4, 8 or 16 float lanes, never a run-time number. `df` is a tag of float lanes, full
// vectors unless said otherwise; pointers need no alignment.
#if defined(OCTET_KERNELS_HWY_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OCTET_KERNELS_HWY_MATH_INL_H_
#undef OCTET_KERNELS_HWY_MATH_INL_H_
#else
#define OCTET_KERNELS_HWY_MATH_INL_H_
#endif

#ifndef OCTET_KERNELS_HWY_TARGETS_H_
#error "include kernels/hwy/targets.h before anything of Highway"
#endif

#include <cmath>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/math.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if !HWY_NATIVE_FMA || HWY_HAVE_SCALABLE
#error "the kernels need a fused multiply-add and vectors of a fixed size: see targets.h"
#endif

// ExpF of each lane.
template <class DF, class V = hn::VFromD<DF>>
HWY_INLINE V ExpV(DF df, V x) {
  const hn::RebindToSigned<DF> di;
  // NaN and underflows give anything here: the last lines replace it.
  const V clamped = hn::Min(x, hn::Set(df, 88.37f));
  // Adding this rounds to an integer, halves to even, and leaves it in the low bits.
  const V shift = hn::Set(df, 0x1.8p23f);
  const V shifted = hn::Add(hn::Mul(clamped, hn::Set(df, 1.44269504088896341f)), shift);
  const V n = hn::Sub(shifted, shift);
  V r = hn::MulAdd(n, hn::Set(df, -0.693145751953125f), clamped);
  r = hn::MulAdd(n, hn::Set(df, -1.428606765330187e-06f), r);
  V p = hn::Set(df, 1.3926175889e-03f);
  p = hn::MulAdd(p, r, hn::Set(df, 8.3631733432e-03f));
  p = hn::MulAdd(p, r, hn::Set(df, 4.1666556150e-02f));
  p = hn::MulAdd(p, r, hn::Set(df, 1.6666577756e-01f));
  p = hn::MulAdd(p, r, hn::Set(df, 0.5f));
  p = hn::MulAdd(p, r, hn::Set(df, 1.0f));
  p = hn::MulAdd(p, r, hn::Set(df, 1.0f));
  const auto exponent = hn::Add(hn::BitCast(di, shifted), hn::Set(di, 127));
  const V value = hn::Mul(p, hn::BitCast(df, hn::ShiftLeft<23>(exponent)));
  const V below = hn::IfThenZeroElse(hn::Lt(x, hn::Zero(df)), x);  // underflow, or NaN itself
  return hn::IfThenElse(hn::Ge(x, hn::Set(df, -87.33f)), value, below);
}

// SiluF of each lane.
template <class DF, class V = hn::VFromD<DF>>
HWY_INLINE V SiluV(DF df, V x) {
  return hn::Div(x, hn::Add(hn::Set(df, 1.0f), ExpV(df, hn::Neg(x))));
}

// SigmoidF of each lane.
template <class DF, class V = hn::VFromD<DF>>
HWY_INLINE V SigmoidV(DF df, V x) {
  const V one = hn::Set(df, 1.0f);
  return hn::Div(one, hn::Add(one, ExpV(df, hn::Neg(x))));
}

// SoftplusF of each lane.
template <class DF, class V = hn::VFromD<DF>>
HWY_INLINE V SoftplusV(DF df, V x) {
  const V two = hn::Set(df, 2.0f);
  const V e = ExpV(df, hn::Neg(hn::Abs(x)));
  const V s = hn::Div(e, hn::Add(two, e));
  const V z = hn::Mul(s, s);
  V p = hn::Set(df, 1.4087328631e-01f);
  p = hn::MulAdd(p, z, hn::Set(df, 1.3980709418e-01f));
  p = hn::MulAdd(p, z, hn::Set(df, 2.0012426862e-01f));
  p = hn::MulAdd(p, z, hn::Set(df, 3.3333157968e-01f));
  p = hn::MulAdd(p, z, hn::Set(df, 1.0f));
  const V positive = hn::IfThenElseZero(hn::Gt(x, hn::Zero(df)), x);
  return hn::Add(positive, hn::Mul(s, hn::Mul(two, p)));
}

// Of a normal distribution beyond a, 0 <= a <= 14: 1 - Phi(a) = e q with e = e^(-a^2 / 2).
template <class DF, class V = hn::VFromD<DF>>
HWY_INLINE void NormalTailV(DF df, V a, V* e, V* q) {
  const V t = hn::Div(hn::Set(df, 1.0f), hn::Add(a, hn::Set(df, 3.75f)));
  const V s = hn::MulAdd(hn::Set(df, -7.5f), t, hn::Set(df, 1.0f));
  V p = hn::Set(df, 4.43355388959e-04f);
  p = hn::MulAdd(p, s, hn::Set(df, 5.09411656442e-04f));
  p = hn::MulAdd(p, s, hn::Set(df, -4.16913749403e-03f));
  p = hn::MulAdd(p, s, hn::Set(df, 1.20012096384e-03f));
  p = hn::MulAdd(p, s, hn::Set(df, 3.74925560055e-02f));
  p = hn::MulAdd(p, s, hn::Set(df, -1.51520833703e-01f));
  p = hn::MulAdd(p, s, hn::Set(df, 3.52939599980e-01f));
  p = hn::MulAdd(p, s, hn::Set(df, -5.88188277951e-01f));
  p = hn::MulAdd(p, s, hn::Set(df, 7.50294074266e-01f));
  const V minus_half = hn::Set(df, -0.5f);
  const V square = hn::Mul(a, a);
  const V rest = hn::MulSub(a, a, square);
  const V rough = ExpV(df, hn::Mul(minus_half, square));
  *e = hn::MulAdd(hn::Mul(minus_half, rest), rough, rough);
  *q = hn::Mul(t, p);
}

// GeluF of each lane.
template <class DF, class V = hn::VFromD<DF>>
HWY_INLINE V GeluV(DF df, V x) {
  const V limit = hn::Set(df, 14.0f);
  const V magnitude = hn::Abs(x);
  const V a = hn::IfThenElse(hn::Gt(magnitude, limit), limit, magnitude);
  V e, q;
  NormalTailV(df, a, &e, &q);
  const V positive = hn::IfThenElseZero(hn::Gt(x, hn::Zero(df)), x);
  return hn::NegMulAdd(hn::Mul(a, q), e, positive);
}

// PiecewiseGeluF of each lane.
template <class DF, class V = hn::VFromD<DF>>
HWY_INLINE V PiecewiseGeluV(DF df, V x) {
  const V low = hn::Set(df, -2.0f);
  const V high = hn::Set(df, 4.0f);
  const V v = hn::IfThenElse(hn::Lt(x, low), low, x);
  const V up = hn::Add(v, hn::Set(df, 2.0f));
  return hn::Mul(v, hn::Mul(hn::Set(df, 0.25f), hn::IfThenElse(hn::Gt(up, high), high, up)));
}

// The 16 virtual lanes of kernels/math.h: lane i sums the terms whose index is i mod 16.
//   Lanes16 sum;  for (i = 0; i + 16 <= n; i += 16) sum.MulAdd(a + i, b + i);
//   float s = sum.Fold(a + i, b + i, n - i);
class Lanes16 {
 public:
  using D = hn::CappedTag<float, 16>;
  static constexpr int kVectors = 16 / static_cast<int>(HWY_MIN(HWY_LANES(float), 16));

  HWY_INLINE Lanes16() {
    for (int i = 0; i < kVectors; ++i) {
      sum_[i] = hn::Zero(D());
    }
  }
  // The lanes held in memory, `lanes` [16].
  explicit HWY_INLINE Lanes16(const float* lanes) {
    for (int i = 0; i < kVectors; ++i) {
      sum_[i] = hn::LoadU(D(), lanes + static_cast<size_t>(i) * hn::Lanes(D()));
    }
  }
  // lane[i] = fma(a[i], b[i], lane[i]) for 16 values.
  HWY_INLINE void MulAdd(const float* a, const float* b) {
    const D d;
    for (int i = 0; i < kVectors; ++i) {
      const size_t at = static_cast<size_t>(i) * hn::Lanes(d);
      sum_[i] = hn::MulAdd(hn::LoadU(d, a + at), hn::LoadU(d, b + at), sum_[i]);
    }
  }
  // The same for the `i`-th vector of the 16, from registers.
  HWY_INLINE void MulAddVector(int i, hn::VFromD<D> a, hn::VFromD<D> b) {
    sum_[i] = hn::MulAdd(a, b, sum_[i]);
  }
  // lane[i] += v[i] for the `i`-th vector of the 16.
  HWY_INLINE void AddVector(int i, hn::VFromD<D> v) { sum_[i] = hn::Add(sum_[i], v); }
  // The lanes, to `lanes` [16].
  HWY_INLINE void Store(float* lanes) const {
    for (int i = 0; i < kVectors; ++i) {
      hn::StoreU(sum_[i], D(), lanes + static_cast<size_t>(i) * hn::Lanes(D()));
    }
  }
  // FoldLanes16 after the last n < 16 terms.
  HWY_INLINE float Fold(const float* a, const float* b, int64_t n) const {
    HWY_ALIGN float lanes[16];
    Store(lanes);
    for (int64_t i = 0; i < n; ++i) {
      lanes[i] = std::fma(a[i], b[i], lanes[i]);
    }
    return FoldLanes16(lanes);
  }
  // FoldLanes16.
  HWY_INLINE float Fold() const {
    hn::VFromD<D> sum[kVectors];
    for (int i = 0; i < kVectors; ++i) {
      sum[i] = sum_[i];
    }
    for (int half = kVectors / 2; half >= 1; half /= 2) {
      for (int i = 0; i < half; ++i) {
        sum[i] = hn::Add(sum[i], sum[i + half]);
      }
    }
    return FoldVector(D(), sum[0]);
  }

 private:
  template <class DV>
  static HWY_INLINE float FoldVector(DV /*d*/, hn::VFromD<DV> v) {
    if constexpr (hn::MaxLanes(DV()) > 4) {
      const hn::Half<DV> dh;
      return FoldVector(dh, hn::Add(hn::LowerHalf(dh, v), hn::UpperHalf(dh, v)));
    } else {
      v = hn::Add(v, hn::Shuffle1032(v));
      return hn::GetLane(hn::Add(v, hn::Shuffle2301(v)));
    }
  }
  hn::VFromD<D> sum_[kVectors];
};

// The nearest integer of each lane, halves to even, for |x| < 2^21: 1.5 * 2^23 has a last place of
// 1, and adding it leaves the integer in the low bits. Fewer operations than a conversion, which
// has to mind values that do not fit.
template <class DF, class V = hn::VFromD<DF>>
HWY_INLINE hn::VFromD<hn::RebindToSigned<DF>> NearestV(DF df, V x) {
  const hn::RebindToSigned<DF> di;
  const auto bits = hn::BitCast(di, hn::Add(x, hn::Set(df, 0x1.8p23f)));
  return hn::Sub(bits, hn::Set(di, 0x4b400000));
}

// QuantizeI8 of each lane, as int32 codes within [-127, 127].
template <class DF, class V = hn::VFromD<DF>>
HWY_INLINE hn::VFromD<hn::RebindToSigned<DF>> QuantizeV(DF df, V x, V inverse_scale) {
  const V code = hn::Mul(x, inverse_scale);
  return NearestV(df, hn::Min(hn::Max(code, hn::Set(df, -127.0f)), hn::Set(df, 127.0f)));
}

// Stores int32 codes within [-127, 127] as T, of 8 or 16 bits.
template <class DF, class VI, class T>
HWY_INLINE void StoreCodes(DF /*df*/, VI codes, T* out) {
  using U = std::make_unsigned_t<T>;
  const hn::Rebind<U, DF> d;
  const hn::RebindToUnsigned<DF> du;
  hn::StoreU(hn::TruncateTo(d, hn::BitCast(du, codes)), d, reinterpret_cast<U*>(out));
}

// Loads int8 codes as floats, one per lane.
template <class DF>
HWY_INLINE hn::VFromD<DF> LoadCodes(DF df, const int8_t* codes) {
  const hn::RebindToSigned<DF> di;
  return hn::ConvertTo(df, hn::PromoteTo(di, hn::LoadU(hn::Rebind<int8_t, DF>(), codes)));
}

// DequantizeAcc(acc, a, b) of each lane, where `scale` is double(a) * double(b), of half the lanes
// of `df`: `scale_lower` for the lower half of acc.
template <class DF, class VI, class VD>
HWY_INLINE hn::VFromD<DF> DequantizeV(DF df, VI acc, VD scale_lower, VD scale_upper) {
  const hn::RebindToSigned<DF> di;
  const hn::Half<DF> dh;
  const hn::Half<decltype(di)> dih;
  const hn::Rebind<double, decltype(dh)> dd;
  const auto lower = hn::Mul(hn::PromoteTo(dd, hn::LowerHalf(dih, acc)), scale_lower);
  const auto upper = hn::Mul(hn::PromoteTo(dd, hn::UpperHalf(dih, acc)), scale_upper);
  return hn::Combine(df, hn::DemoteTo(dh, upper), hn::DemoteTo(dh, lower));
}

// The same with one scale for all lanes.
template <class DF, class VI>
HWY_INLINE hn::VFromD<DF> DequantizeV(DF df, VI acc, double scale) {
  const hn::Rebind<double, hn::Half<DF>> dd;
  const auto s = hn::Set(dd, scale);
  return DequantizeV(df, acc, s, s);
}

// DequantizeFewV gives the bits of DequantizeV for sums up to this and a scale that is a float:
// both factors are exact in fp32, so that their product is rounded once there as well.
inline constexpr int64_t kMostOfFew = int64_t{1} << 24;
template <class DF, class VI>
HWY_INLINE hn::VFromD<DF> DequantizeFewV(DF df, VI acc, hn::VFromD<DF> scale) {
  return hn::Mul(hn::ConvertTo(df, acc), scale);
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#endif  // OCTET_KERNELS_HWY_MATH_INL_H_
