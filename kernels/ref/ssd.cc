#include "kernels/ssd.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/ssd_chunk.h"
#include "kernels/ssd_state.h"
#include "tensor/dtype.h"

namespace octet {
namespace {

struct Layout {
  Layout(const SsdArgs& args, void* base) {
    Scratch s(base);
    h = s.Take<double>(args.P * args.N);
    row = s.Take<float>(args.N);
    bytes = s.bytes();
  }
  double* h;
  float* row;
  int64_t bytes;
};

double BcAt(const SsdArgs& args, const void* data, const float* scales, int64_t t, int64_t g,
            int64_t n) {
  const int64_t i = t * args.bc_stride + g * args.N + n;
  if (args.bc_dtype == DType::kF32) return static_cast<const float*>(data)[i];
  return static_cast<double>(static_cast<const int8_t*>(data)[i]) * scales[g];
}

void Token(const SsdArgs& args, int64_t t, int64_t head, double* h) {
  const int64_t g = head / (args.H / args.G);
  const float* b_scales = args.scales == nullptr ? nullptr : args.scales->B;
  const float* c_scales = args.scales == nullptr ? nullptr : args.scales->C;
  const double dt = args.dt[t * args.H + head];
  const double decay = std::exp(dt * args.A[head]);
  for (int64_t p = 0; p < args.P; ++p) {
    const double x = args.x[t * args.x_stride + head * args.P + p];
    double y = SkipOf(args, head, p) * x;
    for (int64_t n = 0; n < args.N; ++n) {
      double& v = h[p * args.N + n];
      v = decay * v + dt * x * BcAt(args, args.B, b_scales, t, g, n);
      y += BcAt(args, args.C, c_scales, t, g, n) * v;
    }
    args.y[(t * args.H + head) * args.P + p] = static_cast<float>(y);
  }
}

void Load(const SsdArgs& args, int64_t head, const Layout& s) {
  for (int64_t p = 0; p < args.P; ++p) {
    LoadStateRow(args.h, head * args.P + p, args.N, s.row);
    std::copy(s.row, s.row + args.N, s.h + p * args.N);
  }
}

// `end`: one past the chunk.
void Store(const SsdArgs& args, int64_t end, int64_t head, const Layout& s) {
  for (int64_t p = 0; p < args.P; ++p) {
    for (int64_t n = 0; n < args.N; ++n) {
      s.row[n] = static_cast<float>(s.h[p * args.N + n]);
    }
    StoreStateRow(args.h, head * args.P + p, args.N, end, s.row);
  }
}

void Run(const SsdArgs& args, const Workspace& workspace) {
  const Layout s(args, workspace.scratch);
  for (int64_t head = args.head_begin; head < args.head_end; ++head) {
    for (int64_t t0 = 0; t0 < args.T; t0 += args.L) {
      Load(args, head, s);
      const int64_t end = std::min(t0 + args.L, args.T);
      for (int64_t t = t0; t < end; ++t) {
        Token(args, t, head, s.h);
      }
      Store(args, end, head, s);
    }
  }
}

const char* WhyNot(const SsdArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const SsdArgs& args) {
  return Layout(args, nullptr).bytes;
}

}  // namespace

extern const Kernel<SsdArgs> kSsdRef = {"ssd/ref", Isa::kScalar, 0, Run, WhyNot, ScratchBytes};

}  // namespace octet
