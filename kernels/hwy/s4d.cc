#include "kernels/s4d.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/s4d.cc"
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

// Heads whose u and y are gathered into contiguous memory, and tokens of one piece: rows of
// activations are often a multiple of 4 KiB apart, and reading one head down the tokens would use
// one cache set. A piece's u, y and lanes stay in the first-level cache.
constexpr int64_t kTile = 16;
constexpr int64_t kPiece = 128;

struct S4dLayout {
  S4dLayout(const S4dArgs& args, void* base) {
    Scratch s(base);
    const int64_t tokens = std::min({args.T, args.period, kPiece});
    u = s.Take<float>(tokens * kTile);
    y = s.Take<float>(tokens * kTile);
    lanes = s.Take<float>(tokens * 16);
    rows = s.Take<float>(2 * args.N * kTile);
    bytes = s.bytes();
  }
  float* u;
  float* y;
  float* lanes;  // the 16 virtual lanes of each token
  float* rows;   // the states of a tile
  int64_t bytes;
};

// One head over `len` tokens; u and y have kTile floats between tokens. `x` is its state.
struct Head {
  int64_t N, len;
  const float* u;
  const float* A;
  const float* B;
  const float* C;
  float D;
  float* x;
  float* lanes;
  float* y;
};

// Modes n, n + 1, ... of a head, kVectors vectors of them, in registers over all tokens: each state
// waits for its last two products, so one vector alone would leave the arithmetic idle.
template <int kVectors>
HWY_INLINE void ScanModes(const Head& head, int64_t n) {
  const Lanes16::D d;
  using V = hn::VFromD<Lanes16::D>;
  V re[kVectors], im[kVectors], Ar[kVectors], Ai[kVectors];
  V Br[kVectors], Bi[kVectors], Cr[kVectors], Ci[kVectors];
  int64_t at[kVectors], lane[kVectors];
  for (int i = 0; i < kVectors; ++i) {
    at[i] = n + i * static_cast<int64_t>(hn::Lanes(d));
    lane[i] = at[i] % 16;
    re[i] = hn::LoadU(d, head.x + at[i]);
    im[i] = hn::LoadU(d, head.x + head.N + at[i]);
    Ar[i] = hn::LoadU(d, head.A + at[i]);
    Ai[i] = hn::LoadU(d, head.A + head.N + at[i]);
    Br[i] = hn::LoadU(d, head.B + at[i]);
    Bi[i] = hn::LoadU(d, head.B + head.N + at[i]);
    Cr[i] = hn::LoadU(d, head.C + at[i]);
    Ci[i] = hn::LoadU(d, head.C + head.N + at[i]);
  }
  for (int64_t k = 0; k < head.len; ++k) {
    const V u = hn::Set(d, head.u[k * kTile]);
    float* lanes = head.lanes + k * 16;
    for (int i = 0; i < kVectors; ++i) {
      const V to_re = hn::NegMulAdd(Ai[i], im[i], hn::Mul(Br[i], u));
      const V to_im = hn::MulAdd(Ai[i], re[i], hn::Mul(Bi[i], u));
      re[i] = hn::MulAdd(Ar[i], re[i], to_re);
      im[i] = hn::MulAdd(Ar[i], im[i], to_im);
      const V sum = hn::MulAdd(Cr[i], re[i], hn::LoadU(d, lanes + lane[i]));
      hn::StoreU(hn::NegMulAdd(Ci[i], im[i], sum), d, lanes + lane[i]);
    }
  }
  for (int i = 0; i < kVectors; ++i) {
    hn::StoreU(re[i], d, head.x + at[i]);
    hn::StoreU(im[i], d, head.x + head.N + at[i]);
  }
}

// Mode n.
HWY_INLINE void ScanMode(const Head& head, int64_t n) {
  const float Ar = head.A[n], Ai = head.A[head.N + n];
  const float Br = head.B[n], Bi = head.B[head.N + n];
  const float Cr = head.C[n], Ci = head.C[head.N + n];
  float re = head.x[n], im = head.x[head.N + n];
  for (int64_t k = 0; k < head.len; ++k) {
    const float u = head.u[k * kTile];
    const float to_re = std::fma(-Ai, im, Br * u);
    const float to_im = std::fma(Ai, re, Bi * u);
    re = std::fma(Ar, re, to_re);
    im = std::fma(Ar, im, to_im);
    float& lane = head.lanes[k * 16 + n % 16];
    lane = std::fma(-Ci, im, std::fma(Cr, re, lane));
  }
  head.x[n] = re;
  head.x[head.N + n] = im;
}

void ScanHead(const Head& head) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(Lanes16::D()));
  std::fill_n(head.lanes, head.len * 16, 0.0f);
  int64_t n = 0;
  for (; n + 2 * lanes <= head.N; n += 2 * lanes) {
    ScanModes<2>(head, n);
  }
  for (; n + lanes <= head.N; n += lanes) {
    ScanModes<1>(head, n);
  }
  for (; n < head.N; ++n) {
    ScanMode(head, n);
  }
  for (int64_t k = 0; k < head.len; ++k) {
    const float sum = Lanes16(head.lanes + k * 16).Fold();
    head.y[k * kTile] = std::fma(head.D, head.u[k * kTile], sum);
  }
}

// Heads [h0, h0 + count) of tokens [t0, t0 + len), `states[j]` being the state of head h0 + j.
void ScanPiece(const S4dArgs& args, int64_t t0, int64_t len, int64_t h0, int64_t count,
               float* const* states, const S4dLayout& s) {
  const size_t bytes = static_cast<size_t>(count) * sizeof(float);
  for (int64_t k = 0; k < len; ++k) {
    std::memcpy(s.u + k * kTile, args.u + (t0 + k) * args.u_stride + h0, bytes);
  }
  for (int64_t j = 0; j < count; ++j) {
    const int64_t h = h0 + j, row = 2 * args.N * h;
    ScanHead({args.N, len, s.u + j, args.A + row, args.B + row, args.C + row, args.D[h], states[j],
              s.lanes, s.y + j});
  }
  for (int64_t k = 0; k < len; ++k) {
    std::memcpy(args.y + (t0 + k) * args.H + h0, s.y + k * kTile, bytes);
  }
}

// The same for the tokens of one period, from and to the state.
void ScanTile(const S4dArgs& args, int64_t t0, int64_t len, int64_t h0, int64_t count,
              const S4dLayout& s) {
  const int64_t width = 2 * args.N;
  const bool in_place = args.x.format.codec == StateCodec::kF32 && args.x.unrounded == nullptr;
  float* states[kTile];
  for (int64_t j = 0; j < count; ++j) {
    states[j] = in_place ? static_cast<float*>(args.x.data) + (h0 + j) * width : s.rows + j * width;
    if (!in_place) LoadStateRowV(args.x, h0 + j, width, states[j]);
  }
  for (int64_t k = 0; k < len; k += kPiece) {
    ScanPiece(args, t0 + k, std::min(kPiece, len - k), h0, count, states, s);
  }
  for (int64_t j = 0; j < count && !in_place; ++j) {
    StoreStateRowV(args.x, h0 + j, width, t0 + len, states[j]);
  }
}

void S4d(const S4dArgs& args, void* scratch) {
  const S4dLayout s(args, scratch);
  for (int64_t t0 = 0; t0 < args.T; t0 += args.period) {
    const int64_t len = std::min(args.period, args.T - t0);
    for (int64_t h = args.head_begin; h < args.head_end; h += kTile) {
      ScanTile(args, t0, len, h, std::min(kTile, args.head_end - h), s);
    }
  }
}

int64_t S4dScratch(const S4dArgs& args) {
  return S4dLayout(args, nullptr).bytes;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(S4d);

void Run(const S4dArgs& args, const Workspace& workspace) {
  HWY_DYNAMIC_DISPATCH(S4d)(args, workspace.scratch);
}

// The layout is the same on every target; the static one runs wherever one of them does.
int64_t ScratchBytes(const S4dArgs& args) {
  return HWY_STATIC_DISPATCH(S4dScratch)(args);
}

}  // namespace

extern const Kernel<S4dArgs> kS4dHwy = {"s4d/hwy", Isa::kHwy, 100, Run, WhyNotHwy, ScratchBytes};

}  // namespace octet
#endif  // HWY_ONCE
