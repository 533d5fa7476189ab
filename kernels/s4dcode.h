// The diagonal state space layer with its state in codes of few bits, simulated in floating point
// (arXiv:2506.12480, section 3; what is Octet's own says so).
#ifndef OCTET_KERNELS_S4DCODE_H_
#define OCTET_KERNELS_S4DCODE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/math.h"
#include "kernels/ssd_state.h"
#include "tensor/codecs/affine.h"
#include "tensor/state_format.h"

namespace octet {

// One sequence from a zero state, by head h and mode n, with Q the code of that mode:
//   x' = Q(A x + B u)                          y = Re sum_n C x'     (Octet's)
//   s = Q(A x) + Q(B u), x' = Q(s)             y = Re sum_n C s      (three_roundings: the paper's)
// then both parts of x' are cut off at +-limit. A x is a difference or sum of two products, each
// rounded, as are all other operations: nothing is fused. The sum over n is made as in s4d.h, in 16
// virtual lanes, but of products that are rounded. The same bits from every kernel.
//
// Q rounds both parts of a value as `rounding` says:
//   kNearest     AffineCode
//   kStochastic  floor(t + r), r = 15 random bits / 2^15 of a word of 32: its low ones for the real
//                part, the next for the imaginary one. With shared_noise the word of mode n is the
//                low half of RowNoise(noise_key, t, h) + n * 0x9e3779b9, golden ratios apart: as
//                good as words of their own, for one addition, where one number for all modes
//                would round them up and down together, and their errors in y would add up. Else
//                it is NoiseAt's. Octet's; the code is symmetric
//   kFeedback    keeps four bits below the code as well (tensor/state_format.h). Octet's
// With dynamic_bits the scale is made anew for each head and rounding, from the range of both parts
// of all modes.
template <class Real>
struct S4dcodeArgsOf {
  int64_t T, H, N;
  const Real* u;            // [T, H] contiguous
  const Real* A;            // [H, 2, N]
  const Real* B;            // [H, 2, N]
  const Real* C;            // [H, 2, N]
  const AffineCode* codes;  // [H, N]; not read with dynamic_bits
  int dynamic_bits;         // 0: static
  bool dynamic_symmetric;
  bool three_roundings;
  StateRounding rounding;
  uint64_t noise_key;
  bool shared_noise;
  Real limit;  // infinity: none
  Real* y;     // [T, H] contiguous out, without D u
};
using S4dcodeArgs = S4dcodeArgsOf<float>;

// The scalar forms, normative.

// The random word of mode n with shared_noise.
constexpr uint32_t GoldenWord(const RowNoise& noise, int64_t n) {
  return static_cast<uint32_t>(noise.bits) + static_cast<uint32_t>(n) * 0x9e3779b9u;
}

// The low 15 bits as a number in [0, 1).
constexpr float DitherOf(uint32_t bits) {
  return static_cast<float>(bits & 0x7fff) * 0x1.0p-15f;
}

template <class Real>
Real RoundDithered(const AffineCode& code, Real v, float dither) {
  if (code.scale == 0) return v;
  const Real high = static_cast<Real>(code.high);
  const Real t =
      std::clamp(code.Place(v), static_cast<Real>(code.low), high) + static_cast<Real>(dither);
  const Real nearest = RoundHalfEven(t), below = nearest - static_cast<Real>(nearest > t);
  return std::min(below, high) * static_cast<Real>(code.scale);
}

// A code and sixteenths of it from -8 to 7.
template <class Real>
Real RoundWithResidual(const AffineCode& code, Real v) {
  if (code.scale == 0) return v;
  const Real t = std::clamp(16 * code.Place(v), static_cast<Real>(16 * code.low - 8),
                            static_cast<Real>(16 * code.high + 7));
  return RoundHalfEven(t) * static_cast<Real>(code.scale) / 16;
}

// One head.
template <class Real>
class S4dcodeHead {
 public:
  // Values of scratch memory.
  static int64_t ScratchValues(int64_t N) { return 6 * N; }

  S4dcodeHead(const S4dcodeArgsOf<Real>& a, int64_t h, Real* scratch)
      : a_(a), h_(h), x_(scratch), decayed_(scratch + 2 * a.N), added_(scratch + 4 * a.N) {
    std::fill_n(x_, 2 * a.N, Real{0});
  }

  const Real* x() const { return x_; }  // [2, N]
  void SetState(const Real* x) { std::copy_n(x, 2 * a_.N, x_); }

  // A x and B u of the next token, not rounded: [2, N].
  void Terms(Real u, Real* decayed, Real* added) const {
    const int64_t N = a_.N;
    const Real *A = a_.A + 2 * h_ * N, *B = a_.B + 2 * h_ * N, *im = x_ + N;
    for (int64_t n = 0; n < N; ++n) {
      decayed[n] = A[n] * x_[n] - A[N + n] * im[n];
      decayed[N + n] = A[n] * im[n] + A[N + n] * x_[n];
      added[n] = B[n] * u;
      added[N + n] = B[N + n] * u;
    }
  }

  // What becomes of u before it is stored: `sum` [2, N].
  void Sum(Real u, int64_t t, Real* sum) {
    Terms(u, decayed_, added_);
    if (a_.three_roundings) {
      Round(t, decayed_);
      Round(t, added_);
    }
    for (int64_t i = 0; i < 2 * a_.N; ++i) {
      sum[i] = decayed_[i] + added_[i];
    }
  }

  // From the sum to the state after token t.
  void Store(const Real* sum, int64_t t) {
    SetState(sum);
    Round(t, x_);
    for (int64_t i = 0; i < 2 * a_.N; ++i) {
      x_[i] = std::clamp(x_[i], -a_.limit, a_.limit);
    }
  }

  // Re sum_n C v of v [2, N].
  Real Output(const Real* v) const {
    const int64_t N = a_.N;
    const Real* C = a_.C + 2 * h_ * N;
    Real lanes[16] = {};
    for (int64_t n = 0; n < N; ++n) {
      Real& lane = lanes[n % 16];
      lane = lane + C[n] * v[n];
      lane = lane - C[N + n] * v[N + n];
    }
    return FoldLanes16(lanes);
  }

  // Rounds `values` [2, N] of token t.
  void Round(int64_t t, Real* values) const {
    const RowNoise noise(a_.noise_key, t, h_);
    AffineCode dynamic;
    if (a_.dynamic_bits != 0) dynamic = DynamicCode(values);
    for (int64_t n = 0; n < a_.N; ++n) {
      const AffineCode& code = a_.dynamic_bits != 0 ? dynamic : a_.codes[h_ * a_.N + n];
      Real &re = values[n], &im = values[a_.N + n];
      if (a_.rounding == StateRounding::kNearest) {
        re = code(re);
        im = code(im);
      } else if (a_.rounding == StateRounding::kStochastic) {
        const uint32_t word = a_.shared_noise ? GoldenWord(noise, n) : NoiseAt(noise, n);
        re = RoundDithered(code, re, DitherOf(word));
        im = RoundDithered(code, im, DitherOf(word >> 15));
      } else {
        re = RoundWithResidual(code, re);
        im = RoundWithResidual(code, im);
      }
    }
  }

 private:
  AffineCode DynamicCode(const Real* values) const {
    SeenRange range;
    for (int64_t i = 0; i < 2 * a_.N; ++i) {
      range.Include(static_cast<float>(values[i]));
    }
    return MakeAffineCode(range, a_.dynamic_bits, a_.dynamic_symmetric);
  }

  const S4dcodeArgsOf<Real>& a_;
  int64_t h_;
  Real *x_, *decayed_, *added_;
};

template <class Real>
int64_t S4dcodeScratchValues(const S4dcodeArgsOf<Real>& a) {
  return S4dcodeHead<Real>::ScratchValues(a.N) + 2 * a.N;
}

template <class Real>
void S4dcodeReference(const S4dcodeArgsOf<Real>& a, Real* scratch) {
  Real* sum = scratch + S4dcodeHead<Real>::ScratchValues(a.N);
  for (int64_t h = 0; h < a.H; ++h) {
    S4dcodeHead<Real> head(a, h, scratch);
    for (int64_t t = 0; t < a.T; ++t) {
      head.Sum(a.u[t * a.H + h], t, sum);
      head.Store(sum, t);
      a.y[t * a.H + h] = head.Output(a.three_roundings ? sum : head.x());
    }
  }
}

}  // namespace octet
#endif  // OCTET_KERNELS_S4DCODE_H_
