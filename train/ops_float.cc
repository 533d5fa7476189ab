#include "kernels/gelu.h"
#include "kernels/glu.h"
#include "kernels/isa.h"
#include "kernels/layernorm.h"
#include "kernels/linear.h"
#include "kernels/s4d.h"
#include "kernels/table.h"
#include "train/ops.h"

#include <algorithm>

namespace octet {
namespace {

// Whether the best kernel of a product is another one (kernels/onednn/).
bool HasFewTokens(const LinearArgs& a) {
  return a.M <= 4;
}
bool HasFewTokens(const LineargradArgs& a) {
  return a.M <= 4;
}
template <class Args>
bool HasFewTokens(const Args&) {
  return false;
}

// The choice is kept: asking the processor what it supports takes longer than a small kernel.
template <class Args>
const Kernel<Args>& Best(const Args& args) {
  struct Choice {
    IsaMask isas = 0;
    const Kernel<Args>* kernel = nullptr;
  };
  static thread_local Choice choices[2];
  Choice& choice = choices[HasFewTokens(args) ? 1 : 0];
  const IsaMask isas = AllowedIsas();
  if (choice.kernel == nullptr || choice.isas != isas) {
    choice = {isas, &Kernels<Args>().Pick(args, isas)};
  }
  return *choice.kernel;
}

template <class Args>
void RunBest(const Args& args, KernelScratch* scratch) {
  const Kernel<Args>& kernel = Best(args);
  kernel.run(args, {scratch->Take(kernel.scratch_bytes(args))});
}

// For kernels that need no scratch memory.
template <class Args>
void RunBest(const Args& args) {
  KernelScratch none;
  RunBest(args, &none);
}

}  // namespace

template <>
void TrainOps<float>::Linear(int64_t T, int64_t N, int64_t K, const float* x, const float* w,
                             const float* bias, float* y, KernelScratch* scratch) {
  LinearArgs a{};
  a.M = T;
  a.N = a.n_end = a.y_stride = N;
  a.K = K;
  a.x_dtype = DType::kF32;
  a.x = x;
  a.w.data = w;
  a.bias = bias;
  a.y = y;
  RunBest(a, scratch);
}

template <>
void TrainOps<float>::S4d(int64_t T, int64_t H, int64_t N, const float* u, const float* A,
                          const float* B, const float* C, const float* D, float* y,
                          KernelScratch* scratch) {
  std::vector<float> x(static_cast<size_t>(2 * H * N));
  S4dArgs a{};
  a.T = a.period = T;
  a.H = a.head_end = a.u_stride = H;
  a.N = N;
  a.u = u;
  a.A = A;
  a.B = B;
  a.C = C;
  a.D = D;
  a.x.data = x.data();
  a.y = y;
  RunBest(a, scratch);
}

template <>
void TrainOps<float>::Gelu(int64_t count, GeluForm form, const float* x, float* y) {
  RunBest(GeluArgs{1, count, form, x, count, y});
}

template <>
void TrainOps<float>::Glu(int64_t T, int64_t C, const float* x, float* y) {
  RunBest(GluArgs{T, C, x, 2 * C, y});
}

template <>
void TrainOps<float>::LayerNorm(int64_t T, int64_t C, const float* x, const float* weight,
                                const float* bias, float eps, float* y) {
  RunBest(LayernormArgs{T, C, x, C, weight, bias, eps, y});
}

template <>
void TrainOps<float>::S4dCode(const S4dcodeArgs& a, KernelScratch* scratch) {
  RunBest(a, scratch);
}

template <>
void TrainOps<float>::S4dCodeGradient(const S4dcodegradArgs& a, KernelScratch* scratch) {
  RunBest(a, scratch);
}

template <>
void TrainOps<float>::LinearGradient(const LineargradArgs& a) {
  RunBest(a);
}

template <>
void TrainOps<float>::S4dGradient(const S4dgradArgs& a, KernelScratch* scratch) {
  RunBest(a, scratch);
}

template <>
void TrainOps<float>::GeluGradient(const GelugradArgs& a) {
  RunBest(a);
}

template <>
void TrainOps<float>::GluGradient(const GlugradArgs& a) {
  RunBest(a);
}

}  // namespace octet
