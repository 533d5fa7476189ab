#include <cmath>
#include <cstdint>

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/ssd_step.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/hwy/ssd_state-inl.h"
#include "kernels/kernel.h"
#include "kernels/math.h"
#include "kernels/ssd.h"
#include "kernels/ssd_chunk.h"
#include "tensor/dtype.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {
namespace {

struct StepLayout {
  StepLayout(const SsdArgs& args, void* base) {
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

// h = fma(decay, h, u B) in place; returns C h.
HWY_INLINE float StepRow(float decay, float u, const float* B, const float* C, int64_t N,
                         float* h) {
  using D = Lanes16::D;
  const D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto vd = hn::Set(d, decay);
  const auto vu = hn::Set(d, u);
  Lanes16 sum;
  int64_t n = 0;
  for (; n + 16 <= N; n += 16) {
    for (int i = 0; i < Lanes16::kVectors; ++i) {
      const int64_t at = n + i * lanes;
      const auto input = hn::Mul(vu, hn::LoadU(d, B + at));
      const auto v = hn::MulAdd(vd, hn::LoadU(d, h + at), input);
      hn::StoreU(v, d, h + at);
      sum.MulAddVector(i, hn::LoadU(d, C + at), v);
    }
  }
  for (int64_t tail = n; tail < N; ++tail) {
    h[tail] = std::fma(decay, h[tail], u * B[tail]);
  }
  return n == N ? sum.Fold() : sum.Fold(C + n, h + n, N - n);
}

void StepHead(const SsdArgs& args, int64_t head, const float* B, const float* C, float* scratch) {
  const float dt = args.dt[head];
  const float decay = ExpF(dt * args.A[head]);
  for (int64_t p = 0; p < args.P; ++p) {
    const int64_t row = head * args.P + p;
    const float x = args.x[row];
    const bool in_place = args.h.format.codec == StateCodec::kF32;
    float* h = in_place ? static_cast<float*>(args.h.data) + row * args.N : scratch;
    if (!in_place) LoadStateRowV(args.h, row, args.N, h);
    args.y[row] = SkipOf(args, head, p) * x + StepRow(decay, dt * x, B, C, args.N, h);
    if (!in_place) StoreStateRowV(args.h, row, args.N, 1, h);
  }
}

// Row `g` of B or C as floats: in place, or decoded to `decoded`.
const float* BcValues(const SsdArgs& args, const void* data, const float* scales, int64_t g,
                      float* decoded) {
  if (args.bc_dtype == DType::kF32) return static_cast<const float*>(data) + g * args.N;
  DecodeCodes(static_cast<const int8_t*>(data) + g * args.N, args.N, scales[g], decoded);
  return decoded;
}

void SsdStep(const SsdArgs& args, void* scratch) {
  const StepLayout s(args, scratch);
  for (int64_t g = 0; g < args.G; ++g) {
    const HeadRange heads = HeadsOfGroup(args, g);
    if (heads.begin >= heads.end) continue;
    const float* b_scales = args.scales == nullptr ? nullptr : args.scales->B;
    const float* c_scales = args.scales == nullptr ? nullptr : args.scales->C;
    const float* B = BcValues(args, args.B, b_scales, g, s.B);
    const float* C = BcValues(args, args.C, c_scales, g, s.C);
    for (int64_t head = heads.begin; head < heads.end; ++head) {
      StepHead(args, head, B, C, s.row);
    }
  }
}

int64_t SsdStepScratch(const SsdArgs& args) {
  return StepLayout(args, nullptr).bytes;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(SsdStep);

void Run(const SsdArgs& args, const Workspace& workspace) {
  HWY_DYNAMIC_DISPATCH(SsdStep)(args, workspace.scratch);
}

const char* WhyNot(const SsdArgs& args) {
  const char* reason = HwyUnavailable();
  return reason != nullptr ? reason : WhyNotStep(args);
}

// The layout is the same on every target; the static one runs wherever one of them does.
int64_t ScratchBytes(const SsdArgs& args) {
  return HWY_STATIC_DISPATCH(SsdStepScratch)(args);
}

}  // namespace

extern const Kernel<SsdArgs> kSsdStepHwy = {"ssd_step/hwy", Isa::kHwy,   100, Run,
                                            WhyNot,         ScratchBytes};

}  // namespace octet
#endif  // HWY_ONCE
