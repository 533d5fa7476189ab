// Root mean square norm, plain (Zhang & Sennrich 2019) and gated (Dao & Gu 2024, Mamba-2).
#ifndef OCTET_KERNELS_RMSNORM_H_
#define OCTET_KERNELS_RMSNORM_H_

#include <cstdint>

namespace octet {

// With v = x (gate null) or v = x * silu(gate):
//   y[t, c] = (v[t, c] * (1 / sqrt(sum(v[t, group of c]^2) / (C / groups) + eps))) * weight[c]
// `groups` contiguous groups of C / groups channels. Sums of squares run in 16 virtual lanes
// (channel mod 16, counted from the start of the group), FMA, folded pairwise 8, 4, 2, 1: the same
// bits from every kernel (kernels/math.h).
struct RmsnormArgs {
  int64_t T, C, groups;
  const float* x;  // [T, C] with x_stride floats between rows
  int64_t x_stride;
  const float* gate;  // null, or [T, C] with gate_stride
  int64_t gate_stride;
  const float* weight;  // [C], or null for all ones
  float eps;
  float* y;  // [T, C] contiguous; may equal x when x_stride == C
};

}  // namespace octet
#endif  // OCTET_KERNELS_RMSNORM_H_
