#include "kernels/s4d.h"

#include <algorithm>
#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/ssd_chunk.h"
#include "kernels/ssd_state.h"

namespace octet {
namespace {

struct Layout {
  Layout(const S4dArgs& args, void* base) {
    Scratch s(base);
    x = s.Take<double>(2 * args.N);
    row = s.Take<float>(2 * args.N);
    bytes = s.bytes();
  }
  double* x;
  float* row;
  int64_t bytes;
};

void Token(const S4dArgs& args, int64_t t, int64_t h, double* x) {
  const int64_t N = args.N;
  const float* A = args.A + 2 * h * N;
  const float* B = args.B + 2 * h * N;
  const float* C = args.C + 2 * h * N;
  const double u = args.u[t * args.u_stride + h];
  double y = args.D[h] * u;
  for (int64_t n = 0; n < N; ++n) {
    const double Ar = A[n], Ai = A[N + n];
    const double re = Ar * x[n] - Ai * x[N + n] + B[n] * u;
    const double im = Ar * x[N + n] + Ai * x[n] + B[N + n] * u;
    x[n] = re;
    x[N + n] = im;
    y += C[n] * re - C[N + n] * im;
  }
  args.y[t * args.H + h] = static_cast<float>(y);
}

void Run(const S4dArgs& args, const Workspace& workspace) {
  const Layout s(args, workspace.scratch);
  const int64_t width = 2 * args.N;
  for (int64_t h = args.head_begin; h < args.head_end; ++h) {
    for (int64_t t0 = 0; t0 < args.T; t0 += args.period) {
      LoadStateRow(args.x, h, width, s.row);
      std::copy(s.row, s.row + width, s.x);
      const int64_t end = std::min(t0 + args.period, args.T);
      for (int64_t t = t0; t < end; ++t) {
        Token(args, t, h, s.x);
      }
      std::transform(s.x, s.x + width, s.row, [](double v) { return static_cast<float>(v); });
      StoreStateRow(args.x, h, width, end, s.row);
    }
  }
}

const char* WhyNot(const S4dArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const S4dArgs& args) {
  return Layout(args, nullptr).bytes;
}

}  // namespace

extern const Kernel<S4dArgs> kS4dRef = {"s4d/ref", Isa::kScalar, 0, Run, WhyNot, ScratchBytes};

}  // namespace octet
