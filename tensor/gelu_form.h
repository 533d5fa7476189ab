// The forms of the Gaussian error linear unit (Hendrycks & Gimpel 2016) that models use.
#ifndef OCTET_TENSOR_GELU_FORM_H_
#define OCTET_TENSOR_GELU_FORM_H_

#include <cstdint>

namespace octet {

enum class GeluForm : uint8_t {
  kExact,      // x * Phi(x)
  kPiecewise,  // x * clamp(x + 2, 0, 4) / 4, the qGELU of arXiv:2506.12480
};

}  // namespace octet
#endif  // OCTET_TENSOR_GELU_FORM_H_
