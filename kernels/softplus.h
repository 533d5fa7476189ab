// The step sizes of Mamba and Mamba-2: dt = clamp(softplus(dt_in + bias), lo, hi).
#ifndef OCTET_KERNELS_SOFTPLUS_H_
#define OCTET_KERNELS_SOFTPLUS_H_

#include <cstdint>

namespace octet {

// y[t, c] = clamp(SoftplusF(x[t, c] + bias[c]), lo, hi) (kernels/math.h); NaN stays NaN. The same
// bits from every kernel.
struct SoftplusArgs {
  int64_t T, C;
  const float* x;  // [T, C] with x_stride floats between rows
  int64_t x_stride;
  const float* bias;  // [C]
  float lo, hi;
  float* y;  // [T, C] contiguous; may equal x when x_stride == C
};

}  // namespace octet
#endif  // OCTET_KERNELS_SOFTPLUS_H_
