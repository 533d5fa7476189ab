// The gradient of the gated linear unit (kernels/glu.h), for training.
#ifndef OCTET_KERNELS_GLUGRAD_H_
#define OCTET_KERNELS_GLUGRAD_H_

#include <cmath>
#include <cstdint>

namespace octet {

// Of y = v s, s = sigmoid(w), with v and w the halves of a row of x: adds dy s to the first half of
// dx's row and dy v s (1 - s) to the second. Kernels differ by rounding.
template <class T>
struct GlugradArgsOf {
  int64_t M, C;  // tokens, channels of dy; x has twice as many
  const T* x;    // [M, 2 C] contiguous, as all arrays
  const T* dy;   // [M, C]
  T* dx;         // [M, 2 C] in/out
};
using GlugradArgs = GlugradArgsOf<float>;

template <class T>
void GlugradReference(const GlugradArgsOf<T>& a) {
  for (int64_t m = 0; m < a.M; ++m) {
    for (int64_t c = 0; c < a.C; ++c) {
      const int64_t v = 2 * m * a.C + c, w = v + a.C;
      const T s = static_cast<T>(1 / (1 + std::exp(-static_cast<double>(a.x[w]))));
      const T dy = a.dy[m * a.C + c];
      a.dx[v] += dy * s;
      a.dx[w] += dy * a.x[v] * s * (1 - s);
    }
  }
}

}  // namespace octet
#endif  // OCTET_KERNELS_GLUGRAD_H_
