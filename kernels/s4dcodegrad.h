// The straight-through gradient of kernels/s4dcode.h, for quantization-aware training.
#ifndef OCTET_KERNELS_S4DCODEGRAD_H_
#define OCTET_KERNELS_S4DCODEGRAD_H_

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/s4dcode.h"

namespace octet {

// Rounding lets gradients pass; where a limit acted on a value, of its codes or +-limit, they end
// (arXiv:2506.12480, section 3.3, with both ends of the codes). With g_t = dL/dy_t and m(v) = 1
// where the codes hold v, and of s_t where |v| <= limit, else 0; part by part, by head and mode:
//   l_T = 0;  for t = T - 1 .. 0:
//     l_x = conj(A) l_{t+1}                   what x_t is owed by the next token
//     Octet's form: l_s = m(s_t) limited(l_x + conj(C) g_t),     l_A = l_B = l_s
//                   dC += g_t conj(x_t)
//     three_roundings: l_s = m(s_t) limited(l_x) + conj(C) g_t
//                      l_A = m(A x_{t-1}) l_s,  l_B = m(B u_t) l_s
//                      dC += g_t conj(s_t)
//     dA += l_A conj(x_{t-1})     dB += l_B u_t
//     du_t += sum_n Re(conj(B) l_B)           l_t = l_A
// limited() cuts both parts off at +-adjoint_limit. Static codes, rounded to nearest or with shared
// noise. Everything that is written is added to; kernels see the states of s4dcode, bit for bit,
// and differ in the order of the sums.
template <class Real>
struct S4dcodegradArgsOf {
  S4dcodeArgsOf<Real> forward;  // y is not used
  const Real* dy;               // [T, H] contiguous
  Real adjoint_limit;           // infinity: none
  Real* du;                     // [T, H] in/out
  Real* dA;                     // [H, 2, N] in/out
  Real* dB;                     // [H, 2, N] in/out
  Real* dC;                     // [H, 2, N] in/out
};
using S4dcodegradArgs = S4dcodegradArgsOf<float>;

// Values of scratch memory that S4dcodegradReference needs.
template <class Real>
int64_t S4dcodegradScratchValues(const S4dcodegradArgsOf<Real>& a) {
  return S4dcodeHead<Real>::ScratchValues(a.forward.N) + (a.forward.T + 4) * 2 * a.forward.N;
}

// The way back through one head.
template <class Real>
class S4dcodegradHead {
 public:
  S4dcodegradHead(const S4dcodegradArgsOf<Real>& a, int64_t h, Real* scratch)
      : a_(a),
        f_(a.forward),
        h_(h),
        head_(f_, h, scratch),
        l_(scratch + S4dcodeHead<Real>::ScratchValues(f_.N)),
        x_(l_ + 2 * f_.N),
        decayed_(x_ + 2 * f_.N),
        added_(decayed_ + 2 * f_.N),
        sums_(added_ + 2 * f_.N) {}

  void Run() {
    const int64_t width = 2 * f_.N;
    for (int64_t t = 0; t < f_.T; ++t) {
      head_.Sum(f_.u[t * f_.H + h_], t, sums_ + t * width);
      head_.Store(sums_ + t * width, t);
    }
    std::fill_n(l_, width, Real{0});
    for (int64_t t = f_.T - 1; t >= 0; --t) {
      std::copy_n(head_.x(), width, x_);
      if (t > 0) {
        head_.Store(sums_ + (t - 1) * width, t - 1);
      } else {
        std::fill_n(added_, width, Real{0});
        head_.SetState(added_);
      }
      head_.Terms(f_.u[t * f_.H + h_], decayed_, added_);
      for (int64_t n = 0; n < f_.N; ++n) {
        Mode(t, n);
      }
    }
  }

 private:
  // Mode n of token t: x_ is x_t, the state of head_ x_{t-1}.
  void Mode(int64_t t, int64_t n) {
    const int64_t r = n, i = f_.N + n, row = 2 * h_ * f_.N;
    const Real *A = f_.A + row, *B = f_.B + row, *C = f_.C + row, *s = sums_ + t * 2 * f_.N;
    const Real u = f_.u[t * f_.H + h_], g = a_.dy[t * f_.H + h_];
    const bool three = f_.three_roundings;
    const Real to_re = C[r] * g, to_im = -C[i] * g;  // conj(C) g
    const Real before_re = three ? l_[r] : l_[r] + to_re, before_im = three ? l_[i] : l_[i] + to_im;
    Real re = Inside(n, s[r]) ? Limited(before_re) : 0,
         im = Inside(n, s[i]) ? Limited(before_im) : 0;
    const Real* read = three ? s : x_;
    a_.dC[row + r] += g * read[r];
    a_.dC[row + i] -= g * read[i];
    Real a_re = re, a_im = im;
    if (three) {
      re += to_re;
      im += to_im;
      a_re = Code(n).Holds(decayed_[r]) ? re : 0;
      a_im = Code(n).Holds(decayed_[i]) ? im : 0;
      re = Code(n).Holds(added_[r]) ? re : 0;
      im = Code(n).Holds(added_[i]) ? im : 0;
    }
    const Real* x = head_.x();
    a_.dA[row + r] += a_re * x[r] + a_im * x[i];
    a_.dA[row + i] += a_im * x[r] - a_re * x[i];
    a_.dB[row + r] += re * u;
    a_.dB[row + i] += im * u;
    a_.du[t * f_.H + h_] += B[r] * re + B[i] * im;
    l_[r] = A[r] * a_re + A[i] * a_im;
    l_[i] = A[r] * a_im - A[i] * a_re;
  }

  const AffineCode& Code(int64_t n) const { return f_.codes[h_ * f_.N + n]; }
  bool Inside(int64_t n, Real sum) const {
    return Code(n).Holds(sum) && std::fabs(sum) <= f_.limit;
  }
  Real Limited(Real l) const { return std::clamp(l, -a_.adjoint_limit, a_.adjoint_limit); }

  const S4dcodegradArgsOf<Real>& a_;
  const S4dcodeArgsOf<Real>& f_;
  int64_t h_;
  S4dcodeHead<Real> head_;
  Real *l_, *x_, *decayed_, *added_;
  Real* sums_;  // [T, 2, N]: states before they were stored
};

template <class Real>
void S4dcodegradReference(const S4dcodegradArgsOf<Real>& a, Real* scratch) {
  for (int64_t h = 0; h < a.forward.H; ++h) {
    S4dcodegradHead<Real>(a, h, scratch).Run();
  }
}

}  // namespace octet
#endif  // OCTET_KERNELS_S4DCODEGRAD_H_
