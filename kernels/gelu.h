// Gaussian error linear unit (Hendrycks & Gimpel 2016) and its form for quantized S4D.
#ifndef OCTET_KERNELS_GELU_H_
#define OCTET_KERNELS_GELU_H_

#include <cstdint>

#include "tensor/gelu_form.h"

namespace octet {

// y[t, c] = GELU(x[t, c]), GeluF or PiecewiseGeluF of kernels/math.h: the same bits from every
// kernel.
struct GeluArgs {
  int64_t T, C;
  GeluForm form;
  const float* x;  // [T, C] with x_stride floats between rows
  int64_t x_stride;
  float* y;  // [T, C] contiguous; may equal x when x_stride == C
};

}  // namespace octet
#endif  // OCTET_KERNELS_GELU_H_
