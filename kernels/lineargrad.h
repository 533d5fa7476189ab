// The gradient of y = x W^T + bias (kernels/linear.h), for training.
#ifndef OCTET_KERNELS_LINEARGRAD_H_
#define OCTET_KERNELS_LINEARGRAD_H_

#include <cstdint>

namespace octet {

// Adds to dx = dy W, dW = dy^T x and dbias = sum_m dy[m]. Kernels differ in the order of the sums.
template <class T>
struct LineargradArgsOf {
  int64_t M, N, K;  // tokens, outputs, inputs
  const T* x;       // [M, K] contiguous, as all arrays
  const T* w;       // [N, K]; may be null when dx is
  const T* dy;      // [M, N]
  T* dx;            // [M, K] in/out, or null
  T* dw;            // [N, K] in/out
  T* dbias;         // [N] in/out, or null
};
using LineargradArgs = LineargradArgsOf<float>;

// The equations as they stand; products and sums in T, tokens ascending.
template <class T>
void LineargradReference(const LineargradArgsOf<T>& a) {
  for (int64_t m = 0; m < a.M; ++m) {
    const T* x = a.x + m * a.K;
    for (int64_t n = 0; n < a.N; ++n) {
      const T dy = a.dy[m * a.N + n];
      if (a.dbias != nullptr) a.dbias[n] += dy;
      for (int64_t k = 0; k < a.K; ++k) {
        if (a.dx != nullptr) a.dx[m * a.K + k] += dy * a.w[n * a.K + k];
        a.dw[n * a.K + k] += dy * x[k];
      }
    }
  }
}

}  // namespace octet
#endif  // OCTET_KERNELS_LINEARGRAD_H_
