// The gate of the Mamba block (Gu & Dao 2023): y * silu(z).
#ifndef OCTET_KERNELS_GATE_H_
#define OCTET_KERNELS_GATE_H_

#include <cstdint>

namespace octet {

// out[t, c] = y[t, c] * SiluF(z[t, c]) (kernels/math.h), the product rounded: the same bits from
// every kernel.
struct GateArgs {
  int64_t T, C;
  const float* y;  // [T, C] with y_stride floats between rows
  int64_t y_stride;
  const float* z;  // [T, C] with z_stride
  int64_t z_stride;
  float* out;  // [T, C] contiguous; may equal y when y_stride == C
};

}  // namespace octet
#endif  // OCTET_KERNELS_GATE_H_
