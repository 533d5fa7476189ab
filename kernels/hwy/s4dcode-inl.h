// The codes of an S4D state on vectors of modes, lane for lane the bits of kernels/s4dcode.h.
//
// Included once per target by kernels/hwy/*.cc, after hwy/foreach_target.h and hwy/highway.h.
#if defined(OCTET_KERNELS_HWY_S4DCODE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OCTET_KERNELS_HWY_S4DCODE_INL_H_
#undef OCTET_KERNELS_HWY_S4DCODE_INL_H_
#else
#define OCTET_KERNELS_HWY_S4DCODE_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include "kernels/hwy/modes-inl.h"
#include "kernels/s4dcode.h"
#include "kernels/ssd_chunk.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {
namespace {

using M = hn::Mask<D>;

// How a kernel was asked to round, known when it is compiled.
template <bool kThreeRoundings, bool kDithered>
struct Form {
  static constexpr bool kThree = kThreeRoundings, kDither = kDithered;
};

using DU = hn::RebindToUnsigned<D>;
using VU = hn::VFromD<DU>;

// Buffers of one head: inputs, its modes padded with zeros, whose codes keep every value.
struct CodedHead {
  CodedHead(const S4dcodeArgs& a, Scratch* s) {
    const int64_t padded = PaddedModes(a.N);
    u = s->Take<float>(a.T);
    words = s->Take<uint32_t>(a.T);
    for (float** v : {&A, &B, &C}) {
      *v = s->Take<float>(2 * padded);
    }
    for (float** v : {&scale, &inverse, &zero, &low, &high}) {
      *v = s->Take<float>(padded);
    }
  }

  void Load(const S4dcodeArgs& a, int64_t h) const {
    const int64_t padded = PaddedModes(a.N), row = 2 * h * a.N;
    const auto load = [&](const float* from, float* to) {
      std::fill_n(to, 2 * padded, 0.0f);
      std::copy_n(from + row, a.N, to);
      std::copy_n(from + row + a.N, a.N, to + padded);
    };
    load(a.A, A);
    load(a.B, B);
    load(a.C, C);
    for (int64_t n = 0; n < padded; ++n) {
      const AffineCode code = n < a.N ? a.codes[h * a.N + n] : AffineCode();
      scale[n] = code.scale;
      inverse[n] = code.inverse;
      zero[n] = code.zero;
      low[n] = code.low;
      high[n] = code.high;
    }
    for (int64_t t = 0; t < a.T; ++t) {
      u[t] = a.u[t * a.H + h];
      words[t] =
          a.rounding == StateRounding::kStochastic ? GoldenWord(RowNoise(a.noise_key, t, h), 0) : 0;
    }
  }

  float* u;                                    // [T]
  uint32_t* words;                             // [T]: of mode 0, where noise is shared
  float *A, *B, *C;                            // [2, padded]
  float *scale, *inverse, *zero, *low, *high;  // [padded]
};

// The codes of kVectors vectors of modes.
template <class F, int kVectors>
struct ModeCodes {
  V scale[kVectors], inverse[kVectors], zero[kVectors], low[kVectors], high[kVectors];
  VU golden[kVectors];  // from the word of mode 0 to theirs

  HWY_INLINE ModeCodes(const CodedHead& head, int64_t n) {
    const D d;
    const DU du;
    for (int i = 0; i < kVectors; ++i, n += kLanes) {
      scale[i] = hn::LoadU(d, head.scale + n);
      inverse[i] = hn::LoadU(d, head.inverse + n);
      zero[i] = hn::LoadU(d, head.zero + n);
      low[i] = hn::LoadU(d, head.low + n);
      high[i] = hn::LoadU(d, head.high + n);
      golden[i] = hn::Mul(hn::Iota(du, static_cast<uint32_t>(n)), hn::Set(du, 0x9e3779b9u));
    }
  }

  HWY_INLINE V Nearest(V t) const {
    const V magic = hn::Set(D(), 12582912.0f);
    return hn::Sub(hn::Add(t, magic), magic);
  }
  HWY_INLINE M Kept(int i) const { return hn::Eq(scale[i], hn::Zero(D())); }
  HWY_INLINE V Place(V v, int i) const { return hn::Add(hn::Mul(v, inverse[i]), zero[i]); }

  HWY_INLINE V Round(V v, V dither, int i) const {
    const V t = hn::Min(hn::Max(Place(v, i), low[i]), high[i]);
    if constexpr (F::kDither) {
      const V moved = hn::Add(t, dither), nearest = Nearest(moved);
      const V one = hn::IfThenElseZero(hn::Gt(nearest, moved), hn::Set(D(), 1.0f));
      const V below = hn::Min(hn::Sub(nearest, one), high[i]);
      return hn::IfThenElse(Kept(i), v, hn::Mul(below, scale[i]));
    }
    return hn::IfThenElse(Kept(i), v, hn::Mul(hn::Sub(Nearest(t), zero[i]), scale[i]));
  }
  // DitherOf.
  HWY_INLINE V DitherV(VU word) const {
    const hn::RebindToSigned<D> di;
    const VU bits = hn::And(word, hn::Set(DU(), 0x7fffu));
    return hn::Mul(hn::ConvertTo(D(), hn::BitCast(di, bits)), hn::Set(D(), 0x1.0p-15f));
  }
  // `word` is that of mode 0 at this token.
  HWY_INLINE void Round(uint32_t word, Modes<kVectors>* v) const {
    for (int i = 0; i < kVectors; ++i) {
      V re = hn::Zero(D()), im = re;
      if constexpr (F::kDither) {
        const VU own = hn::Add(golden[i], hn::Set(DU(), word));
        re = DitherV(own);
        im = DitherV(hn::ShiftRight<15>(own));
      }
      v->re[i] = Round(v->re[i], re, i);
      v->im[i] = Round(v->im[i], im, i);
    }
  }

  // AffineCode::Holds.
  HWY_INLINE M Holds(V v, int i) const {
    const V t = Place(v, i), half = hn::Set(D(), 0.5f);
    const M inside = hn::And(hn::Ge(t, hn::Sub(low[i], half)), hn::Le(t, hn::Add(high[i], half)));
    return hn::Or(Kept(i), inside);
  }
};

// A x and B u, not rounded.
template <int kVectors>
HWY_INLINE void Terms(const Modes<kVectors>& A, const Modes<kVectors>& B, const Modes<kVectors>& x,
                      V u, Modes<kVectors>* decayed, Modes<kVectors>* added) {
  for (int i = 0; i < kVectors; ++i) {
    decayed->re[i] = hn::Sub(hn::Mul(A.re[i], x.re[i]), hn::Mul(A.im[i], x.im[i]));
    decayed->im[i] = hn::Add(hn::Mul(A.re[i], x.im[i]), hn::Mul(A.im[i], x.re[i]));
    added->re[i] = hn::Mul(B.re[i], u);
    added->im[i] = hn::Mul(B.im[i], u);
  }
}

// What becomes of state x and input u before it is stored.
template <class F, int kVectors>
HWY_INLINE void SumOf(const ModeCodes<F, kVectors>& codes, const Modes<kVectors>& A,
                      const Modes<kVectors>& B, const Modes<kVectors>& x, V u, uint32_t word,
                      Modes<kVectors>* sum) {
  Modes<kVectors> added;
  Terms(A, B, x, u, sum, &added);
  if constexpr (F::kThree) {
    codes.Round(word, sum);
    codes.Round(word, &added);
  }
  for (int i = 0; i < kVectors; ++i) {
    sum->re[i] = hn::Add(sum->re[i], added.re[i]);
    sum->im[i] = hn::Add(sum->im[i], added.im[i]);
  }
}

// From the sum to the state.
template <class F, int kVectors>
HWY_INLINE void StoreState(const ModeCodes<F, kVectors>& codes, uint32_t word, V limit,
                           Modes<kVectors>* x) {
  const V least = hn::Neg(limit);
  codes.Round(word, x);
  for (int i = 0; i < kVectors; ++i) {
    x->re[i] = hn::Min(hn::Max(x->re[i], least), limit);
    x->im[i] = hn::Min(hn::Max(x->im[i], least), limit);
  }
}

// Calls f(Form) for what the arguments ask for.
template <class Function>
void WithForm(const S4dcodeArgs& a, const Function& f) {
  if (a.rounding == StateRounding::kStochastic) {
    return a.three_roundings ? f(Form<true, true>()) : f(Form<false, true>());
  }
  return a.three_roundings ? f(Form<true, false>()) : f(Form<false, false>());
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#endif  // OCTET_KERNELS_HWY_S4DCODE_INL_H_
