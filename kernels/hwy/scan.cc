#include "kernels/scan.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/scan.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/hwy/ssd_state-inl.h"
#include "kernels/kernel.h"
#include "kernels/math.h"
#include "kernels/ssd_chunk.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {
namespace {

// Channels whose x, dt and y are gathered into contiguous memory: rows of activations are often a
// multiple of 4 KiB apart, and reading one channel down the tokens would use one cache set.
constexpr int64_t kTile = 16;
// Of them that are scanned together where N == 16.
constexpr int kAtOnce = kFittingRows;

struct ScanLayout {
  ScanLayout(const ScanArgs& args, void* base) {
    Scratch s(base);
    const int64_t tokens = std::min(args.T, args.period);
    x = s.Take<float>(tokens * kTile);
    dt = s.Take<float>(tokens * kTile);
    y = s.Take<float>(tokens * kTile);
    rows = s.Take<float>(kAtOnce * std::max<int64_t>(args.N, 16));
    bytes = s.bytes();
  }
  float* x;
  float* dt;
  float* y;
  float* rows;  // [kAtOnce, N] of the state
  int64_t bytes;
};

// A channel of a tile, or the first of kAtOnce, over the tokens [t0, t0 + len); x, dt and y have
// kTile floats between tokens.
struct Channel {
  int64_t t0, len;
  const float* x;
  const float* dt;
  const float* A;
  float D;
  float* y;
};

// The state of channels [i, i + kAtOnce), N == 16: where it is in floats, or decoded to `rows`.
HWY_INLINE float* LoadRows(const StateView& state, bool plain, int64_t i, float* rows) {
  if (state.format.codec == StateCodec::kF32) return static_cast<float*>(state.data) + i * 16;
  if (HasFixedCodes(state, 16)) {
    LoadFixedRows(state, i, rows);
    return rows;
  }
  for (int64_t r = 0; r < kAtOnce; ++r) {
    if (plain) {
      const int8_t* codes = static_cast<const int8_t*>(state.data) + (i + r) * 16;
      DecodeCodes(codes, 16, state.scales[i + r], rows + r * 16);
    } else {
      LoadStateRowV(state, i + r, 16, rows + r * 16);
    }
  }
  return rows;
}

// Rounds `rows` [kAtOnce, 16], which may be overwritten, to the format after token `token`.
HWY_INLINE void StoreRows(const StateView& state, bool plain, int64_t i, int64_t token,
                          float* rows) {
  if (HasFixedCodes(state, 16)) return StoreFixedRows(state, i, rows);
  const float* values[kAtOnce];
  for (int64_t r = 0; r < kAtOnce; ++r) {
    values[r] = rows + r * 16;
  }
  if (plain && StoreFittingRows(state, i, 16, values)) return;
  for (int64_t r = 0; r < kAtOnce; ++r) {
    StoreStateRowV(state, i + r, 16, token, rows + r * 16);
  }
}

// Channels [i, i + kAtOnce) with N == 16: their states stay in registers.
HWY_INLINE void ScanFour(const ScanArgs& args, int64_t i, const Channel& c, float* rows) {
  const Lanes16::D d;
  const Four four;
  constexpr int kVectors = Lanes16::kVectors;
  constexpr auto kLanes = static_cast<int64_t>(hn::MaxLanes(d));
  const bool plain = HasPlainCodes(args.h, 16);
  float* h = LoadRows(args.h, plain, i, rows);
  hn::VFromD<Lanes16::D> state[kAtOnce * kVectors];
  for (int64_t v = 0; v < kAtOnce * kVectors; ++v) {
    state[v] = hn::LoadU(d, h + v * kLanes);
  }
  const auto skip = hn::LoadU(four, args.D + i);
  HWY_ALIGN float u[kAtOnce];
  HWY_ALIGN float sums[kAtOnce * 16];
  for (int64_t k = 0; k < c.len; ++k) {
    const float* dt = c.dt + k * kTile;
    const float* B = args.B + (c.t0 + k) * args.b_stride;
    const float* C = args.C + (c.t0 + k) * args.c_stride;
    const auto x = hn::LoadU(four, c.x + k * kTile);
    hn::Store(hn::Mul(hn::LoadU(four, dt), x), four, u);
    for (int r = 0; r < kAtOnce; ++r) {
      Lanes16 products;
      for (int v = 0; v < kVectors; ++v) {
        auto& h_v = state[r * kVectors + v];
        const auto A = hn::LoadU(d, c.A + (r * kVectors + v) * kLanes);
        const auto input = hn::Mul(hn::Set(d, u[r]), hn::LoadU(d, B + v * kLanes));
        h_v = hn::MulAdd(ExpV(d, hn::Mul(hn::Set(d, dt[r]), A)), h_v, input);
        products.MulAddVector(v, hn::LoadU(d, C + v * kLanes), h_v);
      }
      products.Store(sums + static_cast<ptrdiff_t>(r) * 16);
    }
    hn::StoreU(hn::Add(hn::Mul(skip, x), SumRows(sums)), four, c.y + k * kTile);
  }
  for (int64_t v = 0; v < kAtOnce * kVectors; ++v) {
    hn::StoreU(state[v], d, h + v * kLanes);
  }
  if (args.h.format.codec != StateCodec::kF32) {
    StoreRows(args.h, plain, i, c.t0 + c.len, h);
  }
}

// Any N.
HWY_INLINE void ScanAny(const ScanArgs& args, const Channel& c, float* h) {
  const Lanes16::D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t whole = args.N / 16 * 16;
  for (int64_t k = 0; k < c.len; ++k) {
    const float dt = c.dt[k * kTile];
    const float x = c.x[k * kTile];
    const float* B = args.B + (c.t0 + k) * args.b_stride;
    const float* C = args.C + (c.t0 + k) * args.c_stride;
    const float u = dt * x;
    Lanes16 sum;
    for (int64_t n = 0; n < whole; n += 16) {
      for (int i = 0; i < Lanes16::kVectors; ++i) {
        const int64_t at = n + i * lanes;
        const auto decay = ExpV(d, hn::Mul(hn::Set(d, dt), hn::LoadU(d, c.A + at)));
        const auto input = hn::Mul(hn::Set(d, u), hn::LoadU(d, B + at));
        const auto v = hn::MulAdd(decay, hn::LoadU(d, h + at), input);
        hn::StoreU(v, d, h + at);
        sum.MulAddVector(i, hn::LoadU(d, C + at), v);
      }
    }
    for (int64_t n = whole; n < args.N; ++n) {
      h[n] = std::fma(ExpF(dt * c.A[n]), h[n], u * B[n]);
    }
    c.y[k * kTile] = c.D * x + sum.Fold(C + whole, h + whole, args.N - whole);
  }
}

// Channels [i0, i0 + count) of tokens [t0, t0 + len).
void ScanTile(const ScanArgs& args, int64_t t0, int64_t len, int64_t i0, int64_t count,
              const ScanLayout& s) {
  const size_t bytes = static_cast<size_t>(count) * sizeof(float);
  for (int64_t k = 0; k < len; ++k) {
    std::memcpy(s.x + k * kTile, args.x + (t0 + k) * args.x_stride + i0, bytes);
    std::memcpy(s.dt + k * kTile, args.dt + (t0 + k) * args.dt_stride + i0, bytes);
  }
  const bool in_place = args.h.format.codec == StateCodec::kF32;
  int64_t j = 0;
  const auto channel = [&](int64_t i) {
    const int64_t at = i - i0;
    return Channel{t0, len, s.x + at, s.dt + at, args.A + i * args.N, args.D[i], s.y + at};
  };
  if (args.N == 16) {
    for (; j + kAtOnce <= count; j += kAtOnce) {
      ScanFour(args, i0 + j, channel(i0 + j), s.rows);
    }
  }
  for (; j < count; ++j) {
    const int64_t i = i0 + j;
    float* h = in_place ? static_cast<float*>(args.h.data) + i * args.N : s.rows;
    if (!in_place) LoadStateRowV(args.h, i, args.N, h);
    ScanAny(args, channel(i), h);
    if (!in_place) StoreStateRowV(args.h, i, args.N, t0 + len, h);
  }
  for (int64_t k = 0; k < len; ++k) {
    std::memcpy(args.y + (t0 + k) * args.I + i0, s.y + k * kTile, bytes);
  }
}

void Scan(const ScanArgs& args, void* scratch) {
  const ScanLayout s(args, scratch);
  for (int64_t t0 = 0; t0 < args.T; t0 += args.period) {
    const int64_t len = std::min(args.period, args.T - t0);
    for (int64_t i = args.channel_begin; i < args.channel_end; i += kTile) {
      ScanTile(args, t0, len, i, std::min(kTile, args.channel_end - i), s);
    }
  }
}

int64_t ScanScratch(const ScanArgs& args) {
  return ScanLayout(args, nullptr).bytes;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(Scan);

void Run(const ScanArgs& args, const Workspace& workspace) {
  HWY_DYNAMIC_DISPATCH(Scan)(args, workspace.scratch);
}

// The layout is the same on every target; the static one runs wherever one of them does.
int64_t ScratchBytes(const ScanArgs& args) {
  return HWY_STATIC_DISPATCH(ScanScratch)(args);
}

}  // namespace

extern const Kernel<ScanArgs> kScanHwy = {"scan/hwy", Isa::kHwy, 100, Run, WhyNotHwy, ScratchBytes};

}  // namespace octet
#endif  // HWY_ONCE
