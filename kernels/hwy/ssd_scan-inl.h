// What the chunked SSD kernels share: a head's tile of x, its decays, and stage 5.
//
// Included once per target, after kernels/hwy/math-inl.h. Rows of tiles are padded to P16 =
// Pad16(P) or L16 = Pad16(chunk length) floats; equations and stage numbers are those of
// kernels/ssd.h.
#if defined(OCTET_KERNELS_HWY_SSD_SCAN_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OCTET_KERNELS_HWY_SSD_SCAN_INL_H_
#undef OCTET_KERNELS_HWY_SSD_SCAN_INL_H_
#else
#define OCTET_KERNELS_HWY_SSD_SCAN_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/hwy/ssd_tile-inl.h"
#include "kernels/math.h"
#include "kernels/ssd.h"
#include "kernels/ssd_chunk.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

// Scratch of one head in one chunk.
struct HeadTile {
  HeadTile(const SsdArgs& args, Scratch* s) {
    const int64_t L16 = Pad16(LongestChunk(args));
    P16 = Pad16(args.P);
    a = s->Take<float>(L16);
    dt = s->Take<float>(L16);
    factor = s->Take<float>(L16);
    decay = s->Take<float>(L16);
    weights = s->Take<float>(4 * L16);
    x = s->Take<float>(L16 * P16);
    skip = s->Take<float>(P16);
    y = s->Take<float>(4 * P16);
    weights_stride = L16;
  }
  int64_t P16;
  float* a;        // [L16]
  float* dt;       // [L16]
  float* factor;   // [L16], of X_s
  float* decay;    // [L16], exp(a)
  float* weights;  // [4, L16], w_mk of four tokens m
  float* x;        // [L16, P16]
  float* skip;     // [P16], D
  float* y;        // [4, P16], used only where P is no multiple of 16
  int64_t weights_stride;
};

// dt_k exp(min(a_to - a_k, 0)) for k < n, rounded up to whole vectors; times score[k] unless null.
HWY_INLINE void DecayedDtV(float a_to, const float* a, const float* dt, int64_t n, float* out,
                           const float* score = nullptr) {
  const hn::ScalableTag<float> d;
  for (int64_t k = 0; k < n; k += static_cast<int64_t>(hn::Lanes(d))) {
    const auto span = hn::Min(hn::Sub(hn::Set(d, a_to), hn::LoadU(d, a + k)), hn::Zero(d));
    auto w = hn::Mul(hn::LoadU(d, dt + k), ExpV(d, span));
    if (score != nullptr) w = hn::Mul(hn::LoadU(d, score + k), w);
    hn::StoreU(w, d, out + k);
  }
}

// Stage 1, and copies of x, dt and D with zeros in the padding.
inline void LoadHead(const SsdArgs& args, int64_t t0, int64_t len, int64_t h,
                     const HeadTile& tile) {
  const int64_t P = args.P;
  ChunkCumsum(args, t0, len, h, tile.a);
  std::fill(tile.a + len, tile.a + Pad16(len), tile.a[len - 1]);
  std::fill(tile.dt + len, tile.dt + Pad16(len), 0.0f);
  for (int64_t k = 0; k < len; ++k) {
    tile.dt[k] = args.dt[(t0 + k) * args.H + h];
    float* row = tile.x + k * tile.P16;
    const float* x = args.x + (t0 + k) * args.x_stride + h * P;
    for (int64_t i = 0; i < P; i += 16) {
      __builtin_prefetch(x + P + i);  // the next head's, in the same row
    }
    std::memcpy(row, x, static_cast<size_t>(P) * 4);
    std::fill(row + P, row + tile.P16, 0.0f);
  }
  for (int64_t p = 0; p < P; ++p) {
    tile.skip[p] = SkipOf(args, h, p);
  }
  std::fill(tile.skip + P, tile.skip + tile.P16, 0.0f);
  DecayedDtV(tile.a[len - 1], tile.a, tile.dt, len, tile.factor);
  const hn::ScalableTag<float> d;
  for (int64_t k = 0; k < len; k += static_cast<int64_t>(hn::Lanes(d))) {
    hn::StoreU(ExpV(d, hn::LoadU(d, tile.a + k)), d, tile.decay + k);
  }
}

// Rows of y.
struct Outputs {
  float* data;
  int64_t stride;
};

// y of kRows tokens from m0 on and kVectors vectors of channels from p on, to rows of `out`. All
// loops over sums are unrolled: only then do these stay in registers.
template <int kRows, int kVectors>
HWY_INLINE void ScanTile(const HeadTile& tile, int64_t m0, int64_t p, const float* carried,
                         const Outputs& out) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<decltype(d)> y[kRows][kVectors];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const int64_t at = (m0 + r) * tile.P16 + p;
    const auto decay = hn::Set(d, tile.decay[m0 + r]);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const auto skip =
          hn::Mul(hn::LoadU(d, tile.skip + p + v * lanes), hn::LoadU(d, tile.x + at + v * lanes));
      y[r][v] = hn::MulAdd(decay, hn::LoadU(d, carried + at + v * lanes), skip);
    }
  }
  const float* x = tile.x + p;
  for (int64_t k = 0; k <= m0; ++k, x += tile.P16) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const auto w = hn::Set(d, tile.weights[r * tile.weights_stride + k]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        y[r][v] = hn::MulAdd(w, hn::LoadU(d, x + v * lanes), y[r][v]);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int i = 1; i < kRows; ++i) {
      if (i > r) continue;
      const auto w = hn::Set(d, tile.weights[r * tile.weights_stride + m0 + i]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        y[r][v] = hn::MulAdd(w, hn::LoadU(d, x + (i - 1) * tile.P16 + v * lanes), y[r][v]);
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(y[r][v], d, out.data + r * out.stride + p + v * lanes);
    }
  }
}

template <int kRows>
HWY_INLINE void ScanRows(const HeadTile& tile, int64_t m0, const float* carried,
                         const Outputs& out) {
  constexpr int kWide = HWY_CAP_GE512 ? 4 : 2;
  constexpr int64_t kLanes = HWY_LANES(float);
  int64_t p = 0;
  for (; p + kWide * kLanes <= tile.P16; p += kWide * kLanes) {
    ScanTile<kRows, kWide>(tile, m0, p, carried, out);
  }
  for (; p < tile.P16; p += kLanes) {
    ScanTile<kRows, 1>(tile, m0, p, carried, out);
  }
}

// Stage 5 of a head. `score` [len, score_stride] holds the values of CB, readable up to the padded
// row; `carried` [len, P16] those of S_c C_m.
inline void Scan(const SsdArgs& args, int64_t t0, int64_t len, int64_t h, const HeadTile& tile,
                 const float* score, int64_t score_stride, const float* carried) {
  for (int64_t m0 = 0; m0 < len; m0 += 4) {
    const int64_t rows = std::min<int64_t>(4, len - m0);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t m = m0 + r;
      float* weights = tile.weights + r * tile.weights_stride;
      DecayedDtV(tile.a[m], tile.a, tile.dt, m + 1, weights, score + m * score_stride);
    }
    float* y = args.y + ((t0 + m0) * args.H + h) * args.P;
    const bool padded = args.P != tile.P16;
    const Outputs out = {padded ? tile.y : y, padded ? tile.P16 : args.H * args.P};
    if (rows == 4) {
      ScanRows<4>(tile, m0, carried, out);
    } else if (rows == 3) {
      ScanRows<3>(tile, m0, carried, out);
    } else if (rows == 2) {
      ScanRows<2>(tile, m0, carried, out);
    } else {
      ScanRows<1>(tile, m0, carried, out);
    }
    for (int64_t r = 0; r < rows && padded; ++r) {
      std::memcpy(y + r * args.H * args.P, tile.y + r * tile.P16, static_cast<size_t>(args.P) * 4);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#endif  // OCTET_KERNELS_HWY_SSD_SCAN_INL_H_
