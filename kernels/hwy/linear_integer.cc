#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/linear_integer.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/dot-inl.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/kernel.h"
#include "kernels/linear.h"
#include "tensor/codecs/uniform.h"

// Products run in int16 pairs added to int32 (pmaddwd, smlal). Two ways through the weights:
//   panels  16 rows widened to int16 once, then reused by all tokens. A 4-bit code times its group
//           multiplier fits int16, so both widths share the inner loop.
//   direct  for few tokens: each weight is read once and widened on the fly.

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

using D16 = hn::ScalableTag<int16_t>;
using D32 = hn::ScalableTag<int32_t>;
using V16 = hn::Vec<D16>;
using V32 = hn::Vec<D32>;

constexpr int64_t kPanelRows = 16;
// As many accumulators, 4 rows each, as the registers hold.
constexpr int64_t kTileTokens = HWY_CAP_GE512 ? 4 : 2;

// A row length that whole vectors of every target cover.
int64_t Padded(int64_t K) {
  return (K + 63) / 64 * 64;
}

HWY_INLINE V16 LoadI16(const int16_t* p) {
  return hn::LoadU(D16(), p);
}
HWY_INLINE V16 LoadI16(const int8_t* p) {
  return hn::PromoteTo(D16(), hn::LoadU(hn::Rebind<int8_t, D16>(), p));
}

// acc[t * kPanelRows + r] = sum_{k < n} x[t][k] w[r][k] for 4 rows; n is a multiple of the lanes.
// `next`: rows to prefetch meanwhile, or null.
template <int kTokens, class W>
HWY_INLINE void DotTile(const int16_t* x, int64_t x_stride, const W* const* w, int64_t n,
                        int32_t* acc, const W* const* next = nullptr) {
  const D32 d;
  V32 sum[kTokens][4];
  V32 odd[kTokens][4];
  for (int t = 0; t < kTokens; ++t) {
    for (int r = 0; r < 4; ++r) {
      sum[t][r] = odd[t][r] = hn::Zero(d);
    }
  }
  for (int64_t k = 0; k < n; k += static_cast<int64_t>(hn::Lanes(D16()))) {
    if (next != nullptr) PrefetchAt(next, k);
    const V16 w0 = LoadI16(w[0] + k);
    const V16 w1 = LoadI16(w[1] + k);
    const V16 w2 = LoadI16(w[2] + k);
    const V16 w3 = LoadI16(w[3] + k);
    for (int t = 0; t < kTokens; ++t) {
      const V16 v = LoadI16(x + t * x_stride + k);
      sum[t][0] = hn::ReorderWidenMulAccumulate(d, v, w0, sum[t][0], odd[t][0]);
      sum[t][1] = hn::ReorderWidenMulAccumulate(d, v, w1, sum[t][1], odd[t][1]);
      sum[t][2] = hn::ReorderWidenMulAccumulate(d, v, w2, sum[t][2], odd[t][2]);
      sum[t][3] = hn::ReorderWidenMulAccumulate(d, v, w3, sum[t][3], odd[t][3]);
    }
  }
  for (int t = 0; t < kTokens; ++t) {
    for (int r = 0; r < 4; ++r) {
      sum[t][r] = hn::Add(sum[t][r], odd[t][r]);
    }
    StoreSums4(d, sum[t], acc + t * kPanelRows);
  }
}

// n codes to int16, zeros up to `padded`.
void WidenI8(const int8_t* codes, int64_t n, int64_t padded, int16_t* out) {
  const auto N = static_cast<int64_t>(hn::Lanes(D16()));
  int64_t k = 0;
  for (; k + N <= n; k += N) {
    hn::StoreU(LoadI16(codes + k), D16(), out + k);
  }
  for (; k < padded; ++k) {
    out[k] = k < n ? codes[k] : int16_t{0};
  }
}

int16_t CodeI4(const uint8_t* row, int64_t k) {
  return static_cast<int16_t>((k % 2 == 0 ? row[k / 2] & 15 : row[k / 2] >> 4) - 8);
}

// (code - 8) * multiplier, which is the weight divided by its row scale.
void WidenI4(const uint8_t* row, const uint8_t* multipliers, int64_t group, int64_t n,
             int64_t padded, int16_t* out) {
  const hn::CappedTag<int16_t, 16> d;  // 16 bytes hold 32 codes, which divides every group
  const hn::Rebind<uint8_t, decltype(d)> d8;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  int64_t k = 0;
  for (; k + 2 * N <= n; k += 2 * N) {
    const auto multiplier = hn::Set(d, multipliers[k / group]);
    const auto bytes = hn::PromoteTo(d, hn::LoadU(d8, row + k / 2));
    const auto even = hn::Sub(hn::And(bytes, hn::Set(d, 15)), hn::Set(d, 8));
    const auto odd = hn::Sub(hn::ShiftRight<4>(bytes), hn::Set(d, 8));
    hn::StoreInterleaved2(hn::Mul(even, multiplier), hn::Mul(odd, multiplier), d, out + k);
  }
  for (; k < padded; ++k) {
    const int value = k < n ? CodeI4(row, k) * multipliers[k / group] : 0;
    out[k] = static_cast<int16_t>(value);
  }
}

// y[n .. n + count) of one token from its integer sums.
void Finish(const LinearArgs& a, int64_t t, int64_t n, int64_t count, const int32_t* acc) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<double, hn::Half<decltype(d)>> dd;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  const float x_scale = a.x_scale[t * a.x_scale_stride];
  const float* row_scale = a.w.row_scale + n * a.w.row_scale_stride;
  float* y = a.y + t * a.y_stride + n;
  const auto xs = hn::Set(dd, static_cast<double>(x_scale));
  auto lower = hn::Mul(xs, hn::Set(dd, static_cast<double>(row_scale[0])));
  auto upper = lower;
  int64_t i = 0;
  for (; i + N <= count; i += N) {
    if (a.w.row_scale_stride == 1) {
      const hn::Half<decltype(d)> dh;
      lower = hn::Mul(xs, hn::PromoteTo(dd, hn::LoadU(dh, row_scale + i)));
      upper = hn::Mul(xs, hn::PromoteTo(dd, hn::LoadU(dh, row_scale + i + N / 2)));
    }
    auto v = DequantizeV(d, hn::LoadU(D32(), acc + i), lower, upper);
    if (a.bias != nullptr) v = hn::Add(v, hn::LoadU(d, a.bias + n + i));
    hn::StoreU(v, d, y + i);
  }
  for (; i < count; ++i) {
    const float v = DequantizeAcc(acc[i], x_scale, row_scale[i * a.w.row_scale_stride]);
    y[i] = a.bias == nullptr ? v : v + a.bias[n + i];
  }
}

const uint8_t* Row(const LinearArgs& a, int64_t n) {
  return static_cast<const uint8_t*>(a.w.data) + n * BytesOf(a.w.dtype, a.K);
}

const uint8_t* Multipliers(const LinearArgs& a, int64_t n) {
  return a.w.group_scale + n * ((a.K + a.w.group - 1) / a.w.group);
}

// scratch: kPanelRows weight rows, then kTileTokens tokens.
void Panels(const LinearArgs& a, int16_t* scratch) {
  const int64_t padded = Padded(a.K);
  int16_t* tokens = scratch + kPanelRows * padded;
  HWY_ALIGN int32_t acc[kTileTokens * kPanelRows];
  for (int64_t n = a.n_begin; n < a.n_end; n += kPanelRows) {
    const int64_t rows = HWY_MIN(kPanelRows, a.n_end - n);
    const int16_t* panel[kPanelRows];
    for (int64_t r = 0; r < kPanelRows; ++r) {
      panel[r] = scratch + HWY_MIN(r, rows - 1) * padded;  // a short panel repeats its last row
      if (r >= rows) continue;
      int16_t* out = scratch + r * padded;
      if (a.w.dtype == DType::kI8) {
        WidenI8(reinterpret_cast<const int8_t*>(Row(a, n + r)), a.K, padded, out);
      } else {
        WidenI4(Row(a, n + r), Multipliers(a, n + r), a.w.group, a.K, padded, out);
      }
    }
    for (int64_t t = 0; t < a.M; t += kTileTokens) {
      const int64_t count = HWY_MIN(kTileTokens, a.M - t);
      for (int64_t i = 0; i < count; ++i) {
        WidenI8(static_cast<const int8_t*>(a.x) + (t + i) * a.K, a.K, padded, tokens + i * padded);
      }
      for (int64_t r = 0; r < rows; r += 4) {
        if (count == kTileTokens) {
          DotTile<kTileTokens>(tokens, padded, panel + r, padded, acc + r);
          continue;
        }
        for (int64_t i = 0; i < count; ++i) {
          DotTile<1>(tokens + i * padded, padded, panel + r, padded, acc + i * kPanelRows + r);
        }
      }
      for (int64_t i = 0; i < count; ++i) {
        Finish(a, t + i, n, rows, acc + i * kPanelRows);
      }
    }
  }
}

// One token prepared for the direct walk of 4-bit rows: the codes at even and at odd columns, so
// that the two nibbles of a byte need no interleaving, and what subtracting 8 from each code comes
// to.
struct TokenI4 {
  const int16_t* even;
  const int16_t* odd;
  const int32_t* offset;  // [groups, lanes]: -8 * (sum of x in the group), then zeros
};

TokenI4 PrepareI4(const int8_t* x, int64_t K, int64_t group, int16_t* scratch) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(D32()));
  const int64_t half = Padded(K) / 2;
  int16_t* even = scratch;
  int16_t* odd = scratch + half;
  auto* offset = reinterpret_cast<int32_t*>(scratch + 2 * half);
  for (int64_t k = 0; k < 2 * half; k += 2) {
    even[k / 2] = k < K ? x[k] : int16_t{0};
    odd[k / 2] = k + 1 < K ? x[k + 1] : int16_t{0};
  }
  for (int64_t begin = 0; begin < K; begin += group) {
    int32_t* row = offset + begin / group * lanes;
    for (int64_t i = 0; i < lanes; ++i) {
      row[i] = 0;
    }
    for (int64_t k = begin; k < HWY_MIN(begin + group, K); ++k) {
      row[0] -= 8 * x[k];
    }
  }
  return {even, odd, offset};
}

// sum_k x[k] (code[k] - 8) of bytes [begin, end) of one row, spread over the lanes; the bytes that
// fill no vector go to `tail`. `start` is the group's offset.
HWY_INLINE V32 GroupSumI4(const uint8_t* row, const TokenI4& x, int64_t begin, int64_t end,
                          V32 start, int32_t* tail) {
  const D32 d;
  const D16 d16;
  const hn::Rebind<uint8_t, D16> d8;
  const auto N = static_cast<int64_t>(hn::Lanes(d16));
  V32 low_sum = start;
  V32 low_odd = hn::Zero(d);
  V32 high_sum = hn::Zero(d);
  V32 high_odd = hn::Zero(d);
  int64_t b = begin;
  for (; b + N <= end; b += N) {
    const V16 bytes = hn::PromoteTo(d16, hn::LoadU(d8, row + b));
    const V16 low = hn::And(bytes, hn::Set(d16, 15));
    const V16 high = hn::ShiftRight<4>(bytes);
    low_sum = hn::ReorderWidenMulAccumulate(d, low, LoadI16(x.even + b), low_sum, low_odd);
    high_sum = hn::ReorderWidenMulAccumulate(d, high, LoadI16(x.odd + b), high_sum, high_odd);
  }
  *tail = 0;
  for (; b < end; ++b) {
    *tail += (row[b] & 15) * x.even[b] + (row[b] >> 4) * x.odd[b];
  }
  return hn::Add(hn::Add(low_sum, low_odd), hn::Add(high_sum, high_odd));
}

// acc[r] = sum_g multiplier_g sum_k x[k] (code[k] - 8) for 4 rows of 4-bit codes.
void DotDirectI4(const LinearArgs& a, const TokenI4& x, const int64_t* n, const int64_t* next,
                 int32_t* acc) {
  const D32 d;
  const int64_t row_bytes = (a.K + 1) / 2;
  const int64_t group_bytes = a.w.group / 2;
  const uint8_t* rows[4];
  const uint8_t* multipliers[4];
  for (int r = 0; r < 4; ++r) {
    rows[r] = Row(a, n[r]);
    multipliers[r] = Multipliers(a, n[r]);
  }
  V32 total[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  int32_t tails[4] = {};
  int64_t g = 0;
  for (int64_t begin = 0; begin < row_bytes; begin += group_bytes, ++g) {
    const int64_t end = HWY_MIN(begin + group_bytes, row_bytes);
    const V32 start = hn::LoadU(d, x.offset + g * static_cast<int64_t>(hn::Lanes(d)));
    for (int r = 0; r < 4; ++r) {
      for (int64_t b = begin; b < end; b += 64) {
        hwy::Prefetch(Row(a, next[r]) + b);
      }
      const int32_t multiplier = multipliers[r][g];
      int32_t tail = 0;
      const V32 sum = GroupSumI4(rows[r], x, begin, end, start, &tail);
      total[r] = hn::Add(total[r], hn::Mul(sum, hn::Set(d, multiplier)));
      tails[r] += multiplier * tail;
    }
  }
  StoreSums4(d, total, acc);
  for (int r = 0; r < 4; ++r) {
    acc[r] += tails[r];
  }
}

// acc[r] = sum_k x[k] w[k] for 4 rows of 8-bit codes.
void DotDirectI8(const LinearArgs& a, const int16_t* x, const int64_t* n, const int64_t* next,
                 int32_t* acc) {
  const int8_t* rows[4];
  const int8_t* ahead[4];
  for (int r = 0; r < 4; ++r) {
    rows[r] = reinterpret_cast<const int8_t*>(Row(a, n[r]));
    ahead[r] = reinterpret_cast<const int8_t*>(Row(a, next[r]));
  }
  const int64_t whole = a.K - a.K % static_cast<int64_t>(hn::Lanes(D16()));
  DotTile<1>(x, 0, rows, whole, acc, ahead);
  for (int64_t k = whole; k < a.K; ++k) {
    for (int r = 0; r < 4; ++r) {
      acc[r] += x[k] * rows[r][k];
    }
  }
}

constexpr int64_t kDirectTokens = 3;  // more are faster in panels

// int16 of scratch for one token of the direct walk.
int64_t DirectStride(const LinearArgs& a) {
  const int64_t groups = a.w.dtype == DType::kI4 ? (a.K + a.w.group - 1) / a.w.group : 0;
  return Padded(a.K) + groups * static_cast<int64_t>(hn::Lanes(D16()));
}

void Direct(const LinearArgs& a, int16_t* scratch) {
  const int64_t stride = DirectStride(a);
  const int64_t ahead = RowsAhead(BytesOf(a.w.dtype, a.K));
  TokenI4 tokens[kDirectTokens];
  for (int64_t t = 0; t < a.M; ++t) {
    const int8_t* x = static_cast<const int8_t*>(a.x) + t * a.K;
    if (a.w.dtype == DType::kI8) {
      WidenI8(x, a.K, Padded(a.K), scratch + t * stride);
    } else {
      tokens[t] = PrepareI4(x, a.K, a.w.group, scratch + t * stride);
    }
  }
  HWY_ALIGN int32_t acc[kDirectTokens * kPanelRows];
  for (int64_t n0 = a.n_begin; n0 < a.n_end; n0 += kPanelRows) {
    const int64_t rows = HWY_MIN(kPanelRows, a.n_end - n0);
    for (int64_t r = 0; r < rows; r += 4) {
      int64_t n[4], next[4];
      for (int64_t i = 0; i < 4; ++i) {
        n[i] = HWY_MIN(n0 + r + i, a.n_end - 1);  // a short block repeats its last row
        next[i] = HWY_MIN(n0 + r + ahead + i, a.N - 1);
      }
      for (int64_t t = 0; t < a.M; ++t) {
        int32_t* out = acc + t * kPanelRows + r;
        if (a.w.dtype == DType::kI8) {
          DotDirectI8(a, scratch + t * stride, n, next, out);
        } else {
          DotDirectI4(a, tokens[t], n, next, out);
        }
      }
    }
    for (int64_t t = 0; t < a.M; ++t) {
      Finish(a, t, n0, rows, acc + t * kPanelRows);
    }
  }
}

void LinearInteger(const LinearArgs& a, void* scratch) {
  const int64_t step = 2 * static_cast<int64_t>(hn::Lanes(D16()));  // codes per vector of bytes
  const bool whole = a.w.dtype == DType::kI8 || a.w.group % step == 0;
  if (a.M <= kDirectTokens && whole) {
    Direct(a, static_cast<int16_t*>(scratch));
  } else {
    Panels(a, static_cast<int16_t*>(scratch));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(LinearInteger);

void Run(const LinearArgs& a, const Workspace& w) {
  HWY_DYNAMIC_DISPATCH(LinearInteger)(a, w.scratch);
}

const char* WhyNot(const LinearArgs& a) {
  if (a.x_dtype != DType::kI8) return "float inputs";
  if (a.w.layout == WeightLayout::kPanels) return "codes in panels";
  return HwyUnavailable();
}

// Enough for panels (16 rows, 4 tokens) and for the direct walk (3 tokens, 32 int16 per group of at
// least 32 columns), whatever the target.
int64_t ScratchBytes(const LinearArgs& a) {
  const int64_t padded = (a.K + 63) / 64 * 64;
  return 20 * padded * static_cast<int64_t>(sizeof(int16_t));
}

}  // namespace

extern const Kernel<LinearArgs> kLinearIntegerHwy = {
    "linear/hwy-integer", Isa::kHwy, 10, Run, WhyNot, ScratchBytes};

}  // namespace octet
#endif  // HWY_ONCE
