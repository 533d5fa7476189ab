#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/ssd_chunked.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/hwy/ssd_scan-inl.h"
#include "kernels/hwy/ssd_state-inl.h"
#include "kernels/hwy/ssd_tile-inl.h"
#include "kernels/kernel.h"
#include "kernels/math.h"
#include "kernels/ssd.h"
#include "kernels/ssd_chunk.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {
namespace {

// All matrices are padded to multiples of 16 in both dimensions.
struct FloatLayout {
  FloatLayout(const SsdArgs& args, void* base) : scratch(base), head(args, &scratch) {
    L16 = Pad16(LongestChunk(args));
    P16 = Pad16(args.P);
    N16 = Pad16(args.N);
    B = scratch.Take<float>(L16 * N16);
    C = scratch.Take<float>(L16 * N16);
    score = scratch.Take<float>(L16 * L16);
    x_scaled = scratch.Take<float>(L16 * P16);
    local = scratch.Take<float>(P16 * N16);
    state = scratch.Take<float>(P16 * N16);
    carried = scratch.Take<float>(L16 * P16);
    transposed = scratch.Take<float>(N16 * std::max(L16, P16));
    read = state;
    if (args.tap == nullptr) return;
    read = scratch.Take<float>(P16 * N16);
    shown = scratch.Take<float>(std::max({L16 * L16, L16 * P16, P16 * N16}));
  }
  Scratch scratch;
  HeadTile head;
  int64_t L16, P16, N16;
  float* B;           // [L16, N16]
  float* C;           // [L16, N16]
  float* score;       // [L16, L16]
  float* x_scaled;    // [L16, P16]
  float* local;       // [P16, N16]
  float* state;       // [P16, N16]
  float* carried;     // [L16, P16]
  float* transposed;  // [N16, .]: B for stage 4, then S_c for stage 5
  float* read;        // [P16, N16]: S_c as stage 5 reads it; `state` itself unless there is a tap
  float* shown = nullptr;  // what a tap sees, without padding
};

// Shows the [rows, cols] corner of a padded matrix to the tap, and takes over what it wrote.
void ShowTap(const SsdArgs& args, SsdSite site, int64_t index, float* values, int64_t stride,
             int64_t rows, int64_t cols, const FloatLayout& s) {
  if (args.tap == nullptr) return;
  const size_t bytes = static_cast<size_t>(cols) * sizeof(float);
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(s.shown + r * cols, values + r * stride, bytes);
  }
  args.tap->at(args.tap->context, site, index, s.shown, rows, cols);
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(values + r * stride, s.shown + r * cols, bytes);
  }
}

// B or C of a group with zeros in the padding.
void CopyRows(const SsdArgs& args, const void* data, int64_t t0, int64_t len, int64_t g,
              int64_t N16, float* out) {
  const float* from = static_cast<const float*>(data) + t0 * args.bc_stride + g * args.N;
  for (int64_t k = 0; k < len; ++k) {
    std::memcpy(out + k * N16, from + k * args.bc_stride, static_cast<size_t>(args.N) * 4);
    std::fill(out + k * N16 + args.N, out + (k + 1) * N16, 0.0f);
  }
  std::fill(out + len * N16, out + Pad16(len) * N16, 0.0f);
}

// Stage 4, only up to the diagonal unless full_score.
void FloatScore(const SsdArgs& args, int64_t t0, int64_t len, int64_t g, const FloatLayout& s) {
  CopyRows(args, args.B, t0, len, g, s.N16, s.B);
  CopyRows(args, args.C, t0, len, g, s.N16, s.C);
  TransposeWords(s.B, s.N16, Pad16(len), args.N, s.transposed, s.L16, 0);
  for (int64_t m = 0; m < len; m += kPad) {
    const int64_t rows = std::min(kPad, len - m);
    Multiply<float>({s.C + m * s.N16, s.N16, 1, nullptr}, rows, 0, args.N, {s.transposed, s.L16},
                    args.full_score ? len : m + rows, s.score + m * s.L16, s.L16);
  }
  if (args.tap == nullptr) return;
  for (int64_t m = 0; m < len && !args.full_score; ++m) {
    std::fill(s.score + m * s.L16 + m + 1, s.score + m * s.L16 + len, 0.0f);
  }
  ShowTap(args, SsdSite::kScore, g, s.score, s.L16, len, len, s);
}

// Stage 2.
void FloatLocalState(const SsdArgs& args, int64_t len, int64_t h, const FloatLayout& s) {
  const hn::ScalableTag<float> d;
  for (int64_t k = 0; k < len; ++k) {
    const auto factor = hn::Set(d, s.head.factor[k]);
    for (int64_t p = 0; p < s.P16; p += static_cast<int64_t>(hn::Lanes(d))) {
      const int64_t at = k * s.P16 + p;
      hn::StoreU(hn::Mul(hn::LoadU(d, s.head.x + at), factor), d, s.x_scaled + at);
    }
  }
  ShowTap(args, SsdSite::kXScaled, h, s.x_scaled, s.P16, len, args.P, s);
  Multiply<float>({s.x_scaled, 1, s.P16, nullptr}, args.P, 0, len, {s.B, s.N16}, args.N, s.local,
                  s.N16);
  ShowTap(args, SsdSite::kLocalState, h, s.local, s.N16, args.P, args.N, s);
}

// The state entering a chunk, in s.state, and what stage 5 reads of it, in s.read.
void FloatEnter(const SsdArgs& args, int64_t h, const FloatLayout& s) {
  std::fill(s.state, s.state + s.P16 * s.N16, 0.0f);
  for (int64_t p = 0; p < args.P; ++p) {
    LoadStateRowV(args.h, h * args.P + p, args.N, s.state + p * s.N16);
  }
  if (args.tap == nullptr) return;
  std::memcpy(s.read, s.state, static_cast<size_t>(s.P16 * s.N16) * sizeof(float));
  ShowTap(args, SsdSite::kState, h, s.read, s.N16, args.P, args.N, s);
}

// Stage 3 for one head: s.state enters, the storage of `h` leaves. `end`: one past the chunk.
void FloatPass(const SsdArgs& args, int64_t end, float a_last, int64_t h, const FloatLayout& s) {
  const hn::ScalableTag<float> d;
  const auto decay = hn::Set(d, ExpF(a_last));
  for (int64_t p = 0; p < args.P; ++p) {
    float* state = s.state + p * s.N16;
    const float* local = s.local + p * s.N16;
    for (int64_t n = 0; n < s.N16; n += static_cast<int64_t>(hn::Lanes(d))) {
      hn::StoreU(hn::MulAdd(decay, hn::LoadU(d, state + n), hn::LoadU(d, local + n)), d, state + n);
    }
    StoreStateRowV(args.h, h * args.P + p, args.N, end, state);
  }
}

// S_c C_m for all tokens of the chunk.
void FloatCarried(const SsdArgs& args, int64_t t0, int64_t len, const FloatLayout& s) {
  if (t0 == 0 && AllZero(s.read, s.P16 * s.N16)) {  // as where a sequence begins
    std::fill(s.carried, s.carried + len * s.P16, 0.0f);
    return;
  }
  TransposeWords(s.read, s.N16, s.P16, args.N, s.transposed, s.P16, 0);
  Multiply<float>({s.C, s.N16, 1, nullptr}, len, 0, args.N, {s.transposed, s.P16}, args.P,
                  s.carried, s.P16);
}

void FloatHead(const SsdArgs& args, int64_t t0, int64_t len, int64_t h, const FloatLayout& s) {
  LoadHead(args, t0, len, h, s.head);
  Lap(args, SsdStage::kCumsum);
  FloatLocalState(args, len, h, s);
  Lap(args, SsdStage::kLocalState);
  FloatEnter(args, h, s);
  Lap(args, SsdStage::kPassing);
  FloatCarried(args, t0, len, s);
  Lap(args, SsdStage::kScan);
  FloatPass(args, t0 + len, s.head.a[len - 1], h, s);
  Lap(args, SsdStage::kPassing);
  Scan(args, t0, len, h, s.head, s.score, s.L16, s.carried);
  Lap(args, SsdStage::kScan);
}

void SsdChunked(const SsdArgs& args, void* scratch) {
  const FloatLayout s(args, scratch);
  ForEachChunk(args, [&](int64_t t0, int64_t len, int64_t g, HeadRange heads) HWY_ATTR {
    FloatScore(args, t0, len, g, s);
    Lap(args, SsdStage::kScore);
    for (int64_t h = heads.begin; h < heads.end; ++h) {
      FloatHead(args, t0, len, h, s);
    }
  });
  for (int64_t h = args.head_begin; h < args.head_end && args.tap != nullptr; ++h) {
    FloatEnter(args, h, s);
  }
}

int64_t SsdChunkedScratch(const SsdArgs& args) {
  return FloatLayout(args, nullptr).scratch.bytes();
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(SsdChunked);

void Run(const SsdArgs& args, const Workspace& workspace) {
  HWY_DYNAMIC_DISPATCH(SsdChunked)(args, workspace.scratch);
}

const char* WhyNot(const SsdArgs& args) {
  if (const char* reason = HwyUnavailable(); reason != nullptr) return reason;
  if (args.gate_q7_scale != nullptr) return "integer gates need ssd_chunked/ref";
  return WhyNotFloatChunks(args);
}

// The layout is the same on every target; the static one runs wherever one of them does.
int64_t ScratchBytes(const SsdArgs& args) {
  return HWY_STATIC_DISPATCH(SsdChunkedScratch)(args);
}

}  // namespace

extern const Kernel<SsdArgs> kSsdChunkedHwy = {"ssd_chunked/hwy", Isa::kHwy, 100, Run, WhyNot,
                                               ScratchBytes};

}  // namespace octet
#endif  // HWY_ONCE
