#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/math.h"
#include "kernels/s4d.h"
#include "kernels/ssd_state.h"

namespace octet {
namespace {

void Token(const S4dArgs& args, int64_t t, int64_t h, float* x) {
  const int64_t N = args.N;
  const float* A = args.A + 2 * h * N;
  const float* B = args.B + 2 * h * N;
  const float* C = args.C + 2 * h * N;
  const float u = args.u[t * args.u_stride + h];
  float lanes[16] = {};
  for (int64_t n = 0; n < N; ++n) {
    const float Ar = A[n], Ai = A[N + n];
    const float re = std::fma(Ar, x[n], std::fma(-Ai, x[N + n], B[n] * u));
    const float im = std::fma(Ar, x[N + n], std::fma(Ai, x[n], B[N + n] * u));
    x[n] = re;
    x[N + n] = im;
    float& lane = lanes[n % 16];
    lane = std::fma(-C[N + n], im, std::fma(C[n], re, lane));
  }
  args.y[t * args.H + h] = std::fma(args.D[h], u, FoldLanes16(lanes));
}

void Run(const S4dArgs& args, const Workspace& workspace) {
  auto* x = static_cast<float*>(workspace.scratch);
  const int64_t width = 2 * args.N;
  for (int64_t h = args.head_begin; h < args.head_end; ++h) {
    for (int64_t t0 = 0; t0 < args.T; t0 += args.period) {
      LoadStateRow(args.x, h, width, x);
      const int64_t end = std::min(t0 + args.period, args.T);
      for (int64_t t = t0; t < end; ++t) {
        Token(args, t, h, x);
      }
      StoreStateRow(args.x, h, width, end, x);
    }
  }
}

const char* WhyNot(const S4dArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const S4dArgs& args) {
  return 2 * args.N * static_cast<int64_t>(sizeof(float));
}

}  // namespace

extern const Kernel<S4dArgs> kS4dRecurrenceRef = {
    "s4d_recurrence/ref", Isa::kScalar, 10, Run, WhyNot, ScratchBytes};

}  // namespace octet
