// Layer norm (Ba et al. 2016).
#ifndef OCTET_KERNELS_LAYERNORM_H_
#define OCTET_KERNELS_LAYERNORM_H_

#include <cstdint>

namespace octet {

// y[t, c] = fma((x[t, c] - mean) * (1 / sqrt(variance + eps)), weight[c], bias[c]) with
// mean = sum(x[t]) / C and variance = sum((x[t] - mean)^2) / C. Both sums run in 16 virtual lanes
// (channel mod 16), the squares by FMA, folded pairwise 8, 4, 2, 1: the same bits from every kernel
// (kernels/math.h).
struct LayernormArgs {
  int64_t T, C;
  const float* x;  // [T, C] with x_stride floats between rows
  int64_t x_stride;
  const float* weight;  // [C]
  const float* bias;    // [C]
  float eps;
  float* y;  // [T, C] contiguous; may equal x when x_stride == C
};

}  // namespace octet
#endif  // OCTET_KERNELS_LAYERNORM_H_
