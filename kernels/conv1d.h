// Causal depthwise convolution over time, followed by SiLU.
#ifndef OCTET_KERNELS_CONV1D_H_
#define OCTET_KERNELS_CONV1D_H_

#include <cstdint>

namespace octet {

// y[t, c] = silu(bias[c] + sum_{j < K} weight[c, j] x[t - K + 1 + j, c]); j = K - 1 is the current
// token. Rows before the first come from `history`. Accumulates with FMA from the bias, j ascending:
// the same bits from every kernel.
struct Conv1dArgs {
  int64_t T, C, K;      // tokens, channels, taps; K >= 1
  const float* x;       // [T, C] with x_stride floats between rows
  int64_t x_stride;
  const float* weight;  // [C, K]
  const float* bias;    // [C] or null
  float* history;       // [K - 1, C] in/out: the last K - 1 inputs, oldest first; zeros at the start
  float* y;             // [T, C] contiguous; must not overlap x
};

}  // namespace octet
#endif  // OCTET_KERNELS_CONV1D_H_
