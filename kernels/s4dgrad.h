// The gradient of the diagonal state space layer (kernels/s4d.h), for training.
#ifndef OCTET_KERNELS_S4DGRAD_H_
#define OCTET_KERNELS_S4DGRAD_H_

#include <cstdint>

namespace octet {

// The adjoint of the recurrence of kernels/s4d.h from a zero state, by head and mode. With g_t =
// dL/dy_t, and the gradient of a complex number held as dL/dre + i dL/dim:
//   l_T = 0;  for t = T - 1 .. 0:
//     l   = conj(A) l_{t+1} + conj(C) g_t
//     dC += g_t conj(x_t)     dA += l conj(x_{t-1})     dB += l u_t
//     du_t += sum_n Re(conj(B) l) + D g_t               dD += g_t u_t
// The states are computed again, one head at a time: those of a head fit in a second-level cache,
// those of a layer do not.
//
// Complex arrays are [H, 2, N] as in S4dArgs. Everything that is written is added to. Kernels
// differ in the order of the sums.
template <class Real>
struct S4dgradArgsOf {
  int64_t T, H, N;
  const Real* u;   // [T, H] contiguous
  const Real* dy;  // [T, H] contiguous
  const Real* A;   // [H, 2, N]
  const Real* B;   // [H, 2, N]
  const Real* C;   // [H, 2, N]
  const Real* D;   // [H]
  Real* du;        // [T, H] in/out
  Real* dA;        // [H, 2, N] in/out
  Real* dB;        // [H, 2, N] in/out
  Real* dC;        // [H, 2, N] in/out
  Real* dD;        // [H] in/out
};
using S4dgradArgs = S4dgradArgsOf<float>;

// Values of scratch memory that S4dgradReference needs.
template <class Real>
int64_t S4dgradScratchValues(const S4dgradArgsOf<Real>& a) {
  return 2 * (a.T + 1);
}

// One mode after the other, in Real.
template <class Real>
void S4dgradReference(const S4dgradArgsOf<Real>& a, Real* scratch) {
  Real* re = scratch;            // [T + 1]: the state before token t
  Real* im = scratch + a.T + 1;  // [T + 1]
  for (int64_t h = 0; h < a.H; ++h) {
    for (int64_t t = 0; t < a.T; ++t) {
      a.du[t * a.H + h] += a.D[h] * a.dy[t * a.H + h];
      a.dD[h] += a.dy[t * a.H + h] * a.u[t * a.H + h];
    }
    for (int64_t n = 0; n < a.N; ++n) {
      const int64_t r = 2 * h * a.N + n, i = r + a.N;
      re[0] = im[0] = 0;
      for (int64_t t = 0; t < a.T; ++t) {
        const Real u = a.u[t * a.H + h];
        re[t + 1] = a.A[r] * re[t] - a.A[i] * im[t] + a.B[r] * u;
        im[t + 1] = a.A[r] * im[t] + a.A[i] * re[t] + a.B[i] * u;
      }
      Real lr = 0, li = 0;
      for (int64_t t = a.T - 1; t >= 0; --t) {
        const Real u = a.u[t * a.H + h], g = a.dy[t * a.H + h];
        const Real before = lr;
        lr = a.A[r] * lr + a.A[i] * li + a.C[r] * g;
        li = a.A[r] * li - a.A[i] * before - a.C[i] * g;
        a.dC[r] += g * re[t + 1];
        a.dC[i] -= g * im[t + 1];
        a.dA[r] += lr * re[t] + li * im[t];
        a.dA[i] += li * re[t] - lr * im[t];
        a.dB[r] += lr * u;
        a.dB[i] += li * u;
        a.du[t * a.H + h] += a.B[r] * lr + a.B[i] * li;
      }
    }
  }
}

}  // namespace octet
#endif  // OCTET_KERNELS_S4DGRAD_H_
