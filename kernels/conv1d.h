// Causal depthwise convolution over time, followed by SiLU.
#ifndef OCTET_KERNELS_CONV1D_H_
#define OCTET_KERNELS_CONV1D_H_

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace octet {

// y[t, c] = silu(bias[c] + sum_{j < K} weight[c, j] x[t - K + 1 + j, c]); j = K - 1 is the current
// token. Rows before the first come from `history`. Accumulates with FMA from the bias, j
// ascending: the same bits from every kernel.
struct Conv1dArgs {
  int64_t T, C, K;  // tokens, channels, taps; K >= 1
  const float* x;   // [T, C] with x_stride floats between rows
  int64_t x_stride;
  const float* weight;  // [C, K]
  const float* bias;    // [C] or null
  float* history;  // [K - 1, C] in/out: the last K - 1 inputs, oldest first; zeros at the start
  float* y;        // [T, C] contiguous; must not overlap x
};

// Moves the last K - 1 rows of history and x into history: what a kernel does after reading both.
inline void PushHistory(const Conv1dArgs& a) {
  const int64_t rows = a.K - 1;
  const int64_t kept = std::max<int64_t>(rows - a.T, 0);
  const size_t row_bytes = static_cast<size_t>(a.C) * sizeof(float);
  if (kept > 0) {
    std::memmove(a.history, a.history + a.T * a.C, static_cast<size_t>(kept) * row_bytes);
  }
  for (int64_t r = kept; r < rows; ++r) {
    std::memcpy(a.history + r * a.C, a.x + (a.T - rows + r) * a.x_stride, row_bytes);
  }
}

}  // namespace octet
#endif  // OCTET_KERNELS_CONV1D_H_
