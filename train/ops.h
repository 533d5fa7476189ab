// The operations of a training step: in float by the kernels, in double as the formulas stand.
#ifndef OCTET_TRAIN_OPS_H_
#define OCTET_TRAIN_OPS_H_

#include <cmath>
#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "graph/graph.h"
#include "kernels/gelugrad.h"
#include "kernels/glugrad.h"
#include "kernels/lineargrad.h"
#include "kernels/s4dcode.h"
#include "kernels/s4dcodegrad.h"
#include "kernels/s4dgrad.h"

namespace octet {

// Memory of one thread for kernels; grows, contents undefined.
class KernelScratch {
 public:
  void* Take(int64_t bytes) {
    if (bytes > buffer_.bytes()) buffer_ = Buffer(bytes);
    return buffer_.data();
  }

 private:
  Buffer buffer_;
};

// T tokens, contiguous rows; coefficients of an S4d are [H, 2, N] as in kernels/s4d.h.
template <class Real>
struct TrainOps {
  static void Linear(int64_t T, int64_t N, int64_t K, const Real* x, const Real* w,
                     const Real* bias, Real* y, KernelScratch* scratch);
  static void S4d(int64_t T, int64_t H, int64_t N, const Real* u, const Real* A, const Real* B,
                  const Real* C, const Real* D, Real* y, KernelScratch* scratch);
  static void Gelu(int64_t count, GeluForm form, const Real* x, Real* y);
  static void Glu(int64_t T, int64_t C, const Real* x, Real* y);
  static void LayerNorm(int64_t T, int64_t C, const Real* x, const Real* weight, const Real* bias,
                        float eps, Real* y);

  static void S4dCode(const S4dcodeArgsOf<Real>& a, KernelScratch* scratch);
  static void S4dCodeGradient(const S4dcodegradArgsOf<Real>& a, KernelScratch* scratch);

  static void LinearGradient(const LineargradArgsOf<Real>& a);
  static void S4dGradient(const S4dgradArgsOf<Real>& a, KernelScratch* scratch);
  static void GeluGradient(const GelugradArgsOf<Real>& a);
  static void GluGradient(const GlugradArgsOf<Real>& a);
};

// Of y = (x - mean) r weight + bias, r = 1 / sqrt(variance + eps): adds to dx, dweight and dbias.
template <class Real>
void LayerNormGradient(int64_t T, int64_t C, const Real* x, const Real* weight, float eps,
                       const Real* dy, Real* dx, Real* dweight, Real* dbias) {
  std::vector<Real> normed(static_cast<size_t>(C));
  const auto count = static_cast<Real>(C);
  for (int64_t t = 0; t < T; ++t, x += C, dy += C, dx += C) {
    Real mean = 0, variance = 0;
    for (int64_t c = 0; c < C; ++c) {
      mean += x[c] / count;
    }
    for (int64_t c = 0; c < C; ++c) {
      variance += (x[c] - mean) * (x[c] - mean) / count;
    }
    const Real r = 1 / std::sqrt(variance + static_cast<Real>(eps));
    Real sum = 0, product = 0;  // means of dy weight, and of that times the normed value
    for (int64_t c = 0; c < C; ++c) {
      Real& n = normed[static_cast<size_t>(c)];
      n = (x[c] - mean) * r;
      const Real g = dy[c] * weight[c];
      sum += g / count;
      product += g * n / count;
      dweight[c] += dy[c] * n;
      dbias[c] += dy[c];
    }
    for (int64_t c = 0; c < C; ++c) {
      dx[c] += r * (dy[c] * weight[c] - sum - normed[static_cast<size_t>(c)] * product);
    }
  }
}

}  // namespace octet
#endif  // OCTET_TRAIN_OPS_H_
