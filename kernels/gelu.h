// Gaussian error linear unit (Hendrycks & Gimpel 2016) and its form for quantized S4D.
#ifndef OCTET_KERNELS_GELU_H_
#define OCTET_KERNELS_GELU_H_

#include <cstdint>

namespace octet {

enum class GeluForm : uint8_t {
  kExact,      // GeluF of kernels/math.h: x * Phi(x), relative error below 5e-7
  kPiecewise,  // PiecewiseGeluF: x * clamp(x + 2, 0, 4) / 4, the qGELU of arXiv:2506.12480 (there
               // only in code; the printed formula lacks the 4)
};

// y[t, c] = GELU(x[t, c]): the same bits from every kernel (kernels/math.h).
struct GeluArgs {
  int64_t T, C;
  GeluForm form;
  const float* x;  // [T, C] with x_stride floats between rows
  int64_t x_stride;
  float* y;  // [T, C] contiguous; may equal x when x_stride == C
};

}  // namespace octet
#endif  // OCTET_KERNELS_GELU_H_
