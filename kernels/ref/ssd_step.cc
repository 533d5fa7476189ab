#include <cmath>
#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/math.h"
#include "kernels/ssd.h"
#include "kernels/ssd_chunk.h"
#include "kernels/ssd_state.h"
#include "tensor/dtype.h"

namespace octet {
namespace {

struct Layout {
  Layout(const SsdArgs& args, void* base) {
    Scratch s(base);
    B = s.Take<float>(args.N);
    C = s.Take<float>(args.N);
    row = s.Take<float>(args.N);
    bytes = s.bytes();
  }
  float* B;
  float* C;
  float* row;
  int64_t bytes;
};

void Decode(const SsdArgs& args, const void* data, const float* scales, int64_t g, float* values) {
  for (int64_t n = 0; n < args.N; ++n) {
    const int64_t i = g * args.N + n;
    values[n] = args.bc_dtype == DType::kF32
                    ? static_cast<const float*>(data)[i]
                    : static_cast<float>(static_cast<const int8_t*>(data)[i]) * scales[g];
  }
}

void Head(const SsdArgs& args, int64_t head, const Layout& s) {
  const float dt = args.dt[head];
  const float decay = ExpF(dt * args.A[head]);
  for (int64_t p = 0; p < args.P; ++p) {
    const int64_t row = head * args.P + p;
    const float x = args.x[row];
    const float u = dt * x;
    float lanes[16] = {};
    LoadStateRow(args.h, row, args.N, s.row);
    for (int64_t n = 0; n < args.N; ++n) {
      s.row[n] = std::fma(decay, s.row[n], u * s.B[n]);
      lanes[n % 16] = std::fma(s.C[n], s.row[n], lanes[n % 16]);
    }
    args.y[row] = SkipOf(args, head, p) * x + FoldLanes16(lanes);
    StoreStateRow(args.h, row, args.N, 1, s.row);
  }
}

void Run(const SsdArgs& args, const Workspace& workspace) {
  const Layout s(args, workspace.scratch);
  for (int64_t g = 0; g < args.G; ++g) {
    const HeadRange heads = HeadsOfGroup(args, g);
    if (heads.begin >= heads.end) continue;
    Decode(args, args.B, args.scales == nullptr ? nullptr : args.scales->B, g, s.B);
    Decode(args, args.C, args.scales == nullptr ? nullptr : args.scales->C, g, s.C);
    for (int64_t head = heads.begin; head < heads.end; ++head) {
      Head(args, head, s);
    }
  }
}

int64_t ScratchBytes(const SsdArgs& args) {
  return Layout(args, nullptr).bytes;
}

}  // namespace

extern const Kernel<SsdArgs> kSsdStepRef = {"ssd_step/ref", Isa::kScalar, 10, Run,
                                            WhyNotStep,     ScratchBytes};

}  // namespace octet
