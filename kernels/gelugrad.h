// The gradient of the Gaussian error linear unit (kernels/gelu.h), for training.
#ifndef OCTET_KERNELS_GELUGRAD_H_
#define OCTET_KERNELS_GELUGRAD_H_

#include <cmath>
#include <cstdint>

#include "tensor/gelu_form.h"

namespace octet {

// Adds dy GELU'(x) to dx. kExact: GELU' = Phi(x) + x phi(x). kPiecewise: 0 below -2, (x + 1) / 2 up
// to 2, 1 above. Kernels differ by rounding: kExact within 1e-6 of the formula.
template <class T>
struct GelugradArgsOf {
  int64_t count;  // values
  GeluForm form;
  const T* x;   // [count]
  const T* dy;  // [count]
  T* dx;        // [count] in/out
};
using GelugradArgs = GelugradArgsOf<float>;

// GELU'(x) in double.
inline double GeluSlope(GeluForm form, double x) {
  if (form == GeluForm::kPiecewise) return x < -2 ? 0 : x > 2 ? 1 : (x + 1) / 2;
  constexpr double kRootHalf = 0.70710678118654752440, kDensity0 = 0.39894228040143267794;
  return 0.5 * std::erfc(-x * kRootHalf) + x * kDensity0 * std::exp(-x * x / 2);
}

template <class T>
void GelugradReference(const GelugradArgsOf<T>& a) {
  for (int64_t i = 0; i < a.count; ++i) {
    a.dx[i] += a.dy[i] * static_cast<T>(GeluSlope(a.form, static_cast<double>(a.x[i])));
  }
}

}  // namespace octet
#endif  // OCTET_KERNELS_GELUGRAD_H_
