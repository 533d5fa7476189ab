// Gated linear unit (Dauphin et al. 2017).
#ifndef OCTET_KERNELS_GLU_H_
#define OCTET_KERNELS_GLU_H_

#include <cstdint>

namespace octet {

// y[t, c] = x[t, c] * SigmoidF(x[t, C + c]) (kernels/math.h), the product rounded: the same bits
// from every kernel.
struct GluArgs {
  int64_t T, C;    // C channels of the result; x has twice as many
  const float* x;  // [T, 2 C] with x_stride floats between rows
  int64_t x_stride;
  float* y;  // [T, C] contiguous
};

}  // namespace octet
#endif  // OCTET_KERNELS_GLU_H_
