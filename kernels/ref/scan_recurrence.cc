#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/math.h"
#include "kernels/scan.h"
#include "kernels/ssd_state.h"

namespace octet {
namespace {

void Token(const ScanArgs& args, int64_t t, int64_t i, float* h) {
  const float dt = args.dt[t * args.dt_stride + i];
  const float x = args.x[t * args.x_stride + i];
  const float* A = args.A + i * args.N;
  const float* B = args.B + t * args.b_stride;
  const float* C = args.C + t * args.c_stride;
  const float u = dt * x;
  float lanes[16] = {};
  for (int64_t n = 0; n < args.N; ++n) {
    h[n] = std::fma(ExpF(dt * A[n]), h[n], u * B[n]);
    lanes[n % 16] = std::fma(C[n], h[n], lanes[n % 16]);
  }
  args.y[t * args.I + i] = args.D[i] * x + FoldLanes16(lanes);
}

void Run(const ScanArgs& args, const Workspace& workspace) {
  auto* h = static_cast<float*>(workspace.scratch);
  for (int64_t i = args.channel_begin; i < args.channel_end; ++i) {
    for (int64_t t0 = 0; t0 < args.T; t0 += args.period) {
      LoadStateRow(args.h, i, args.N, h);
      const int64_t end = std::min(t0 + args.period, args.T);
      for (int64_t t = t0; t < end; ++t) {
        Token(args, t, i, h);
      }
      StoreStateRow(args.h, i, args.N, end, h);
    }
  }
}

const char* WhyNot(const ScanArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const ScanArgs& args) {
  return args.N * static_cast<int64_t>(sizeof(float));
}

}  // namespace

extern const Kernel<ScanArgs> kScanRecurrenceRef = {
    "scan_recurrence/ref", Isa::kScalar, 10, Run, WhyNot, ScratchBytes};

}  // namespace octet
