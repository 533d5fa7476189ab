#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/linear_int4.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/dot-inl.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/kernel.h"
#include "kernels/linear.h"

// 4-bit weights with float inputs. A vector of bytes holds the codes of even columns in its low
// nibbles and those of odd columns in its high ones; inputs split the same way beforehand need no
// interleaving of codes.

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

// As many sums, for 4 rows each, as the registers hold.
constexpr int64_t kTileTokens = HWY_CAP_GE512 ? 4 : 2;
constexpr int64_t kBlockBytes = 48 << 10;  // of weights that stay in cache while the tokens pass

// Inputs of one token by the parity of their column, [ceil(K / 2)] each; odd ends in 0 for odd K.
struct Token {
  const float* even;
  const float* odd;
};

Token Split(const float* x, int64_t K, float* scratch) {
  const int64_t half = (K + 1) / 2;
  float* odd = scratch + half;
  for (int64_t i = 0; i < K / 2; ++i) {
    scratch[i] = x[2 * i];
    odd[i] = x[2 * i + 1];
  }
  if (K % 2 == 1) {
    scratch[half - 1] = x[K - 1];
    odd[half - 1] = 0.0f;
  }
  return {scratch, odd};
}

// The 16 values of a group's codes, (code - 8) * multiplier: exact, and what remains of a weight
// once its row scale is left to the end.
class Levels {
 public:
#if HWY_CAP_GE512  // 16 lanes: a table
  explicit HWY_INLINE Levels(uint8_t multiplier) {
    const DF d;
    const VF codes = hn::Sub(hn::Iota(d, 0), hn::Set(d, 8.0f));
    values_ = hn::Mul(codes, hn::Set(d, static_cast<float>(multiplier)));
  }
  HWY_INLINE VF Of(hn::Vec<hn::RebindToSigned<DF>> codes) const {
    return hn::TableLookupLanes(values_, hn::IndicesFromVec(DF(), codes));
  }

 private:
  VF values_;
#else
  explicit HWY_INLINE Levels(uint8_t multiplier)
      : multiplier_(hn::Set(DF(), static_cast<float>(multiplier))),
        lowest_(hn::Mul(multiplier_, hn::Set(DF(), -8.0f))) {}
  HWY_INLINE VF Of(hn::Vec<hn::RebindToSigned<DF>> codes) const {
    return hn::MulAdd(hn::ConvertTo(DF(), codes), multiplier_, lowest_);
  }

 private:
  VF multiplier_, lowest_;
#endif
};

// Four rows of codes, and four to prefetch.
struct Rows4 {
  const uint8_t* codes[4];
  const uint8_t* next[4];
  const uint8_t* multipliers[4];
};

// Adds the products of group `g`, bytes [begin, end) of the rows, to sum[t][r], and those of bytes
// that fill no vector to tail[t][r].
template <int kTokens>
HWY_INLINE void AddGroup(const Rows4& w, int64_t g, int64_t begin, int64_t end, const Token* x,
                         VF (*sum)[4], float (*tail)[4]) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  const hn::Rebind<uint8_t, DF> d8;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  const Levels levels[4] = {Levels(w.multipliers[0][g]), Levels(w.multipliers[1][g]),
                            Levels(w.multipliers[2][g]), Levels(w.multipliers[3][g])};
  int64_t b = begin;
  for (; b + N <= end; b += N) {
    if constexpr (kTokens == 1) PrefetchAt(w.next, b);
    for (int r = 0; r < 4; ++r) {
      const auto bytes = hn::PromoteTo(di, hn::LoadU(d8, w.codes[r] + b));
      const VF even = levels[r].Of(hn::And(bytes, hn::Set(di, 15)));
      const VF odd = levels[r].Of(hn::ShiftRight<4>(bytes));
      for (int t = 0; t < kTokens; ++t) {
        sum[t][r] = hn::MulAdd(hn::LoadU(d, x[t].even + b), even, sum[t][r]);
        sum[t][r] = hn::MulAdd(hn::LoadU(d, x[t].odd + b), odd, sum[t][r]);
      }
    }
  }
  for (; b < end; ++b) {
    for (int r = 0; r < 4; ++r) {
      const int pair = w.codes[r][b];
      const auto even = static_cast<float>(((pair & 15) - 8) * w.multipliers[r][g]);
      const auto odd = static_cast<float>(((pair >> 4) - 8) * w.multipliers[r][g]);
      for (int t = 0; t < kTokens; ++t) {
        tail[t][r] = std::fma(x[t].even[b], even, tail[t][r]);
        tail[t][r] = std::fma(x[t].odd[b], odd, tail[t][r]);
      }
    }
  }
}

// y of `count` outputs from n on, at most 4, for kTokens tokens from t on.
template <int kTokens>
void Tile(const LinearArgs& a, const Token* x, int64_t t, int64_t n, int64_t count) {
  const DF d;
  const int64_t row_bytes = (a.K + 1) / 2;
  const int64_t group_bytes = a.w.group / 2;
  const int64_t groups = (a.K + a.w.group - 1) / a.w.group;
  Rows4 w;
  VF sum[kTokens][4];
  float tail[kTokens][4] = {};
  for (int64_t r = 0; r < 4; ++r) {
    const int64_t at = n + HWY_MIN(r, count - 1);  // a short tile repeats its last row
    w.codes[r] = static_cast<const uint8_t*>(a.w.data) + at * row_bytes;
    w.next[r] = static_cast<const uint8_t*>(a.w.data) +
                HWY_MIN(n + RowsAhead(row_bytes) + r, a.N - 1) * row_bytes;
    w.multipliers[r] = a.w.group_scale + at * groups;
    for (int i = 0; i < kTokens; ++i) {
      sum[i][r] = hn::Zero(d);
    }
  }
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t begin = g * group_bytes;
    AddGroup<kTokens>(w, g, begin, HWY_MIN(begin + group_bytes, row_bytes), x, sum, tail);
  }
  for (int i = 0; i < kTokens; ++i) {
    HWY_ALIGN float sums[4];
    StoreSums4(d, sum[i], sums);
    for (int64_t r = 0; r < count; ++r) {
      const float scale = a.w.row_scale[(n + r) * a.w.row_scale_stride];
      const float bias = a.bias == nullptr ? 0.0f : a.bias[n + r];
      a.y[(t + i) * a.y_stride + n + r] = (sums[r] + tail[i][r]) * scale + bias;
    }
  }
}

// scratch: the split inputs of kTileTokens tokens.
void LinearInt4(const LinearArgs& a, float* scratch) {
  const int64_t stride = (a.K + 1) / 2 * 2;
  const int64_t fours = kBlockBytes / (4 * ((a.K + 1) / 2));
  const int64_t block_rows = a.M == 1 ? a.N : 4 * HWY_MAX(int64_t{1}, fours);
  for (int64_t begin = a.n_begin; begin < a.n_end; begin += block_rows) {
    const int64_t end = HWY_MIN(begin + block_rows, a.n_end);
    for (int64_t t = 0; t < a.M; t += kTileTokens) {
      const int64_t tokens = HWY_MIN(kTileTokens, a.M - t);
      Token x[kTileTokens];
      for (int64_t i = 0; i < tokens; ++i) {
        x[i] = Split(static_cast<const float*>(a.x) + (t + i) * a.K, a.K, scratch + i * stride);
      }
      for (int64_t n = begin; n < end; n += 4) {
        const int64_t count = HWY_MIN(int64_t{4}, end - n);
        if (tokens == kTileTokens) {
          Tile<kTileTokens>(a, x, t, n, count);
          continue;
        }
        for (int64_t i = 0; i < tokens; ++i) {
          Tile<1>(a, x + i, t + i, n, count);
        }
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(LinearInt4);

void Run(const LinearArgs& a, const Workspace& w) {
  HWY_DYNAMIC_DISPATCH(LinearInt4)(a, static_cast<float*>(w.scratch));
}

const char* WhyNot(const LinearArgs& a) {
  if (a.x_dtype != DType::kF32 || a.w.dtype != DType::kI4) {
    return "only float inputs with 4-bit weights";
  }
  return HwyUnavailable();
}

// The inputs of 4 tokens, whatever the target.
int64_t ScratchBytes(const LinearArgs& a) {
  return 4 * ((a.K + 1) / 2 * 2) * static_cast<int64_t>(sizeof(float));
}

}  // namespace

extern const Kernel<LinearArgs> kLinearInt4Hwy = {"linear/hwy-int4", Isa::kHwy, 10, Run, WhyNot,
                                                  ScratchBytes};

}  // namespace octet
#endif  // HWY_ONCE
