// Diagonal state space layer (Gu et al. 2022, S4D), one sequence.
#ifndef OCTET_KERNELS_S4D_H_
#define OCTET_KERNELS_S4D_H_

#include <cstdint>

#include "kernels/ssd.h"

namespace octet {

// For each token t, head h and complex mode n, with the discrete A, B and C of that mode:
//   x_t[n] = A[n] x_{t-1}[n] + B[n] u_t
//   y_t = D u_t + Re sum_n C[n] x_t[n]          the state after the token; C holds the factor 2 of
//                                              the conjugate modes that are not stored
//
// T tokens, H heads, N modes. Any T >= 1: decode is T = 1. Complex arrays are [H, 2, N]: the real
// parts of a head's modes, then their imaginary parts.
//
// Order of the fp32 arithmetic, the same bits from every kernel but the double-precision s4d/ref,
// with re and im the parts of x[n], Ar and Ai those of A[n], and so on:
//   re' = fma(Ar, re, fma(-Ai, im, Br * u))    products rounded once
//   im' = fma(Ar, im, fma(Ai, re, Bi * u))
//   y = fma(D, u, sum_n)   sum_n of fma(Cr, re', acc), then fma(-Ci, im', acc), in 16 virtual
//                          lanes, mode n in lane n mod 16, folded pairwise 8, 4, 2, 1
//
// `x` is a StateView of H rows of 2 N values, laid out like A. It is read and written, never zeroed
// here. Between tokens it stays in fp32; it is rounded to its format, and read back, after every
// `period` tokens counted from the first of the call, and at the end of the call. So splitting a
// sequence at multiples of `period` changes no bit, and with kF32 no split does.
struct S4dArgs {
  int64_t T, H, N;
  int64_t period;                // >= 1
  int64_t head_begin, head_end;  // heads to compute; the others' x and y are untouched
  const float* u;                // [T, H], u_stride floats between tokens
  int64_t u_stride;
  const float* A;  // [H, 2, N]
  const float* B;  // [H, 2, N]
  const float* C;  // [H, 2, N]
  const float* D;  // [H]
  StateView x;     // [H, 2 N] in/out
  float* y;        // [T, H] contiguous out
};

}  // namespace octet
#endif  // OCTET_KERNELS_S4D_H_
