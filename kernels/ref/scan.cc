#include "kernels/scan.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/ssd_chunk.h"
#include "kernels/ssd_state.h"

namespace octet {
namespace {

struct Layout {
  Layout(const ScanArgs& args, void* base) {
    Scratch s(base);
    h = s.Take<double>(args.N);
    row = s.Take<float>(args.N);
    bytes = s.bytes();
  }
  double* h;
  float* row;
  int64_t bytes;
};

void Token(const ScanArgs& args, int64_t t, int64_t i, double* h) {
  const double dt = args.dt[t * args.dt_stride + i];
  const double x = args.x[t * args.x_stride + i];
  double y = args.D[i] * x;
  for (int64_t n = 0; n < args.N; ++n) {
    const double B = args.B[t * args.b_stride + n];
    const double C = args.C[t * args.c_stride + n];
    h[n] = std::exp(dt * args.A[i * args.N + n]) * h[n] + dt * x * B;
    y += C * h[n];
  }
  args.y[t * args.I + i] = static_cast<float>(y);
}

void Run(const ScanArgs& args, const Workspace& workspace) {
  const Layout s(args, workspace.scratch);
  for (int64_t i = args.channel_begin; i < args.channel_end; ++i) {
    for (int64_t t0 = 0; t0 < args.T; t0 += args.period) {
      LoadStateRow(args.h, i, args.N, s.row);
      std::copy(s.row, s.row + args.N, s.h);
      const int64_t end = std::min(t0 + args.period, args.T);
      for (int64_t t = t0; t < end; ++t) {
        Token(args, t, i, s.h);
      }
      std::transform(s.h, s.h + args.N, s.row, [](double v) { return static_cast<float>(v); });
      StoreStateRow(args.h, i, args.N, end, s.row);
    }
  }
}

const char* WhyNot(const ScanArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const ScanArgs& args) {
  return Layout(args, nullptr).bytes;
}

}  // namespace

extern const Kernel<ScanArgs> kScanRef = {"scan/ref", Isa::kScalar, 0, Run, WhyNot, ScratchBytes};

}  // namespace octet
