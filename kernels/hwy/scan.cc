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

struct ScanLayout {
  ScanLayout(const ScanArgs& args, void* base) {
    Scratch s(base);
    const int64_t tokens = std::min(args.T, args.period);
    x = s.Take<float>(tokens * kTile);
    dt = s.Take<float>(tokens * kTile);
    y = s.Take<float>(tokens * kTile);
    row = s.Take<float>(args.N);
    bytes = s.bytes();
  }
  float* x;
  float* dt;
  float* y;
  float* row;
  int64_t bytes;
};

// One channel of a tile over the tokens [t0, t0 + len); x, dt and y have kTile floats between
// tokens.
struct Channel {
  int64_t t0, len;
  const float* x;
  const float* dt;
  const float* A;
  float D;
  float* y;
};

// N == 16: the state stays in registers.
HWY_INLINE void Scan16(const ScanArgs& args, const Channel& c, float* h) {
  const Lanes16::D d;
  constexpr int kVectors = Lanes16::kVectors;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::VFromD<Lanes16::D> state[kVectors], A[kVectors];
  for (int i = 0; i < kVectors; ++i) {
    state[i] = hn::LoadU(d, h + i * lanes);
    A[i] = hn::LoadU(d, c.A + i * lanes);
  }
  for (int64_t k = 0; k < c.len; ++k) {
    const float dt = c.dt[k * kTile];
    const float x = c.x[k * kTile];
    const float* B = args.B + (c.t0 + k) * args.b_stride;
    const float* C = args.C + (c.t0 + k) * args.c_stride;
    const auto vdt = hn::Set(d, dt);
    const auto u = hn::Set(d, dt * x);
    Lanes16 sum;
    for (int i = 0; i < kVectors; ++i) {
      const auto input = hn::Mul(u, hn::LoadU(d, B + i * lanes));
      state[i] = hn::MulAdd(ExpV(d, hn::Mul(vdt, A[i])), state[i], input);
      sum.MulAddVector(i, hn::LoadU(d, C + i * lanes), state[i]);
    }
    c.y[k * kTile] = c.D * x + sum.Fold();
  }
  for (int i = 0; i < kVectors; ++i) {
    hn::StoreU(state[i], d, h + i * lanes);
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
  for (int64_t j = 0; j < count; ++j) {
    const int64_t i = i0 + j;
    float* h = in_place ? static_cast<float*>(args.h.data) + i * args.N : s.row;
    if (!in_place) LoadStateRowV(args.h, i, args.N, h);
    const Channel channel{t0, len, s.x + j, s.dt + j, args.A + i * args.N, args.D[i], s.y + j};
    if (args.N == 16) {
      Scan16(args, channel, h);
    } else {
      ScanAny(args, channel, h);
    }
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
