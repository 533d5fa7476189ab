// Causal depthwise convolution over time, followed by SiLU.
#ifndef OCTET_KERNELS_CONV1D_H_
#define OCTET_KERNELS_CONV1D_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <vector>

namespace octet {

// y[t, c] = silu(bias[c] + sum_{j < K} weight[c, j] x[t - K + 1 + j, c]); j = K - 1 is the current
// token. Rows before the first come from `history`. Accumulates with FMA from the bias, j
// ascending: the same bits from every kernel.
struct Conv1dArgs {
  int64_t T, C, K;  // tokens, channels, taps; K >= 1
  const float* x;   // [T, C] with x_stride floats between rows
  int64_t x_stride;
  const float* taps;  // [K, C]: ConvTaps
  const float* bias;  // [C] or null
  // The last K - 1 inputs, rows of C floats, oldest first; zeros at the start.
  const float* const* history;
  float* y;  // [T, C] contiguous; must not overlap x
};

// The weight [C, K] of a checkpoint as kernels read it.
inline std::vector<float> ConvTaps(std::span<const float> weight, int64_t K) {
  std::vector<float> taps(weight.size());
  const int64_t C = std::ssize(weight) / K;
  for (int64_t c = 0; c < C; ++c) {
    for (int64_t j = 0; j < K; ++j) {
      taps[static_cast<size_t>(j * C + c)] = weight[static_cast<size_t>(c * K + j)];
    }
  }
  return taps;
}

}  // namespace octet
#endif  // OCTET_KERNELS_CONV1D_H_
