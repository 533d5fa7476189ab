// Selective scan (Gu & Dao 2023, Mamba, section 3.2 and algorithm 2), one sequence.
#ifndef OCTET_KERNELS_SCAN_H_
#define OCTET_KERNELS_SCAN_H_

#include <cstdint>

#include "kernels/ssd.h"

namespace octet {

// For each token t, channel i and state n:
//   h_t[i, n] = exp(dt_t[i] A[i, n]) h_{t-1}[i, n] + dt_t[i] x_t[i] B_t[n]
//   y_t[i] = D[i] x_t[i] + sum_n C_t[n] h_t[i, n]
//
// T tokens, I channels, N states; B and C are shared by all channels. Any T >= 1: decode is T = 1.
//
// Order of the fp32 arithmetic, the same bits from every kernel but the double-precision scan/ref:
//   h' = fma(ExpF(dt * A), h, (dt * x) * B)          products rounded; ExpF of kernels/math.h
//   y = D * x + sum_n C h'                           the sum in 16 virtual lanes, lane n mod 16,
//                                                    FMA, folded pairwise 8, 4, 2, 1
//
// `h` is a StateView of I rows of N values, a row per channel. It is read and written, never zeroed
// here. Between tokens it stays in fp32; it is rounded to its format, and read back,
// after every `period` tokens counted from the first of the call, and at the end of the call. So
// splitting a text at multiples of `period` changes no bit, and with kF32 no split does.
struct ScanArgs {
  int64_t T, I, N;
  int64_t period;                      // >= 1
  int64_t channel_begin, channel_end;  // channels to compute; the others' h and y are untouched
  const float* x;                      // [T, I], x_stride floats between tokens
  int64_t x_stride;
  const float* dt;  // [T, I], dt_stride between tokens; > 0, after bias and softplus
  int64_t dt_stride;
  const float* B;  // [T, N], b_stride floats between tokens
  int64_t b_stride;
  const float* C;  // [T, N], c_stride floats between tokens
  int64_t c_stride;
  const float* A;  // [I, N], < 0
  const float* D;  // [I]
  StateView h;     // [I, N] in/out
  float* y;        // [T, I] contiguous out
};

}  // namespace octet
#endif  // OCTET_KERNELS_SCAN_H_
