#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/ssd_step.cc"
#include "hwy/cache_control.h"
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

// Of a state in codes: rows that share the registers, and rows that share a wait for their scales.
constexpr int kRowsAtOnce = 4;
constexpr int kRowsOfBlock = 16;

// A block of rows between its two passes.
struct Block {
  float* values;  // [kRowsOfBlock, N] stepped, not yet rounded
  float* sums;    // [kRowsOfBlock, 16] lanes of C h
  float* most;    // [kRowsOfBlock, 16] lanes of the largest magnitudes
};

struct StepLayout {
  StepLayout(const SsdArgs& args, void* base) {
    Scratch s(base);
    B = s.Take<float>(args.N);
    C = s.Take<float>(args.N);
    block.values = s.Take<float>(kRowsOfBlock * args.N);
    block.sums = s.Take<float>(kRowsOfBlock * 16);
    block.most = s.Take<float>(kRowsOfBlock * 16);
    bytes = s.bytes();
  }
  float* B;
  float* C;
  Block block;
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

// Decodes and steps kRowsAtOnce rows of codes [.., N], rows `first` and on of the block. decay and
// C as in StepRow, u and scale for each row.
HWY_INLINE void StepCodes(float decay, const float* u, const float* scale, const float* B,
                          const float* C, int64_t N, const int8_t* codes, int first,
                          const Block& block) {
  using D = Lanes16::D;
  const D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto vd = hn::Set(d, decay);
  float* values = block.values + first * N;
  hn::Vec<D> vu[kRowsAtOnce], vs[kRowsAtOnce], most[kRowsAtOnce][Lanes16::kVectors];
  Lanes16 sum[kRowsAtOnce];
  for (int r = 0; r < kRowsAtOnce; ++r) {
    vu[r] = hn::Set(d, u[r]);
    vs[r] = hn::Set(d, scale[r]);
    for (auto& m : most[r]) {
      m = hn::Zero(d);
    }
  }
  for (int64_t n = 0; n < N; n += 16) {
    for (int i = 0; i < Lanes16::kVectors; ++i) {
      const int64_t at = n + i * lanes;
      const auto b = hn::LoadU(d, B + at);
      const auto c = hn::LoadU(d, C + at);
      for (int r = 0; r < kRowsAtOnce; ++r) {
        const auto h = hn::Mul(LoadCodes(d, codes + r * N + at), vs[r]);
        const auto v = hn::MulAdd(vd, h, hn::Mul(vu[r], b));
        hn::StoreU(v, d, values + r * N + at);
        most[r][i] = MaxMagnitude(v, most[r][i]);
        sum[r].MulAddVector(i, c, v);
      }
    }
  }
  for (int r = 0; r < kRowsAtOnce; ++r) {
    sum[r].Store(block.sums + (first + r) * 16);
    for (int i = 0; i < Lanes16::kVectors; ++i) {
      hn::StoreU(most[r][i], d, block.most + (first + r) * 16 + i * lanes);
    }
  }
}

// Channels [p, p + count) of a head whose state is plain codes; count: a multiple of kRowsAtOnce up
// to kRowsOfBlock. The bits of LoadStateRowV, StepRow and StoreStateRowV: one pass decodes, steps
// and finds the largest values, a second rounds.
void StepChannels(const SsdArgs& args, int64_t head, int64_t p, int count, float decay,
                  const float* B, const float* C, const Block& block) {
  const Four d;
  const int64_t row = head * args.P + p, N = args.N;
  const float* x = args.x + row;
  float* scales = args.h.scales + row;
  int8_t* codes = static_cast<int8_t*>(args.h.data) + row * N;
  float u[kRowsOfBlock], inverse[kRowsOfBlock];
  bool finite[kRowsOfBlock / kRowsAtOnce];
  for (int r = 0; r < count; ++r) {
    u[r] = args.dt[head] * x[r];
  }
  for (int r = 0; r < count; r += kRowsAtOnce) {
    for (int64_t i = 0; i < kRowsAtOnce * N; i += 64) {  // of the next block
      hwy::Prefetch(codes + (r + kRowsOfBlock) * N + i);
    }
    StepCodes(decay, u + r, scales + r, B, C, N, codes + r * N, r, block);
  }
  for (int r = 0; r < count; r += kRowsAtOnce) {
    const auto sum = SumRows(block.sums + r * 16);
    const auto most = MaxRows(block.most + r * 16);
    // A value that is not finite leaves no finite sum.
    finite[r / kRowsAtOnce] = hn::AllTrue(d, hn::IsFinite(sum));
    const auto scale = ScaleForAbsMaxV(most);
    const float* D = args.D_per_channel ? args.D + row + r : args.D + head;
    const auto skip = args.D_per_channel ? hn::LoadU(d, D) : hn::Set(d, *D);
    hn::StoreU(hn::Add(hn::Mul(skip, hn::LoadU(d, x + r)), sum), d, args.y + row + r);
    if (!finite[r / kRowsAtOnce]) continue;
    hn::StoreU(scale, d, scales + r);
    hn::StoreU(hn::Div(hn::Set(d, 1.0f), scale), d, inverse + r);
  }
  for (int r = 0; r < count; ++r) {
    float* values = block.values + r * N;
    if (finite[r / kRowsAtOnce]) {
      StoreFittingRow(values, N, inverse[r], codes + r * N);
    } else {
      StoreStateRowV(args.h, row + r, N, 1, values);
    }
  }
}

void StepHead(const SsdArgs& args, int64_t head, const float* B, const float* C,
              const Block& block) {
  const float dt = args.dt[head];
  const float decay = ExpF(dt * args.A[head]);
  int64_t p = 0;
  if (HasPlainCodes(args.h, args.N)) {
    while (args.P - p >= kRowsAtOnce) {
      const auto count =
          static_cast<int>(std::min<int64_t>(args.P - p, kRowsOfBlock) / kRowsAtOnce * kRowsAtOnce);
      StepChannels(args, head, p, count, decay, B, C, block);
      p += count;
    }
  }
  for (; p < args.P; ++p) {
    const int64_t row = head * args.P + p;
    const float x = args.x[row];
    const bool in_place = args.h.format.codec == StateCodec::kF32;
    float* h = in_place ? static_cast<float*>(args.h.data) + row * args.N : block.values;
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
      StepHead(args, head, B, C, s.block);
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
