#include "kernels/linear.h"

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/linear.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/dot-inl.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/kernel.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

constexpr int64_t kBlockBytes = 48 << 10;  // of weights that stay in cache while the tokens pass
// As many accumulators, 4 rows each, as the registers hold.
constexpr int64_t kTileTokens = HWY_CAP_GE512 ? 4 : 2;

HWY_INLINE VF Load(const float* p) {
  return hn::LoadU(DF(), p);
}
HWY_INLINE VF Load(const hwy::bfloat16_t* p) {
  return hn::PromoteTo(DF(), hn::LoadU(hn::Rebind<hwy::bfloat16_t, DF>(), p));
}
HWY_INLINE VF Load(const hwy::float16_t* p) {
  return hn::PromoteTo(DF(), hn::LoadU(hn::Rebind<hwy::float16_t, DF>(), p));
}
HWY_INLINE VF Load(const int8_t* p) {
  return LoadCodes(DF(), p);
}
HWY_INLINE float One(const float* p) {
  return *p;
}
HWY_INLINE float One(const hwy::bfloat16_t* p) {
  return BF16ToF32(p->bits);
}
HWY_INLINE float One(const hwy::float16_t* p) {
  uint16_t bits;
  __builtin_memcpy(&bits, p, sizeof(bits));
  return F16ToF32(bits);
}

HWY_INLINE float One(const int8_t* p) {
  return static_cast<float>(*p);
}

// sums[t][r] = sum_k x[t][k] w[r][k] for 4 rows; `next`: rows to prefetch.
template <int kTokens, class W>
HWY_INLINE void DotTile(const float* x, int64_t K, const W* const* w, const W* const* next,
                        float (*sums)[4]) {
  const DF d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  VF sum[kTokens][4];
  for (int t = 0; t < kTokens; ++t) {
    for (int r = 0; r < 4; ++r) {
      sum[t][r] = hn::Zero(d);
    }
  }
  int64_t k = 0;
  for (; k + N <= K; k += N) {
    if constexpr (kTokens == 1) PrefetchAt(next, k);
    const VF w0 = Load(w[0] + k);
    const VF w1 = Load(w[1] + k);
    const VF w2 = Load(w[2] + k);
    const VF w3 = Load(w[3] + k);
    for (int t = 0; t < kTokens; ++t) {
      const VF v = Load(x + t * K + k);
      sum[t][0] = hn::MulAdd(v, w0, sum[t][0]);
      sum[t][1] = hn::MulAdd(v, w1, sum[t][1]);
      sum[t][2] = hn::MulAdd(v, w2, sum[t][2]);
      sum[t][3] = hn::MulAdd(v, w3, sum[t][3]);
    }
  }
  for (int t = 0; t < kTokens; ++t) {
    StoreSums4(d, sum[t], sums[t]);
    for (int64_t i = k; i < K; ++i) {
      for (int r = 0; r < 4; ++r) {
        sums[t][r] = std::fma(x[t * K + i], One(w[r] + i), sums[t][r]);
      }
    }
  }
}

// `count` outputs from n on, at most 4, of kTokens tokens from t on.
template <int kTokens, class W>
void Tile(const LinearArgs& a, int64_t t, int64_t n, int64_t count) {
  const W* rows[4];
  const W* next[4];
  const int64_t ahead = RowsAhead(a.K * static_cast<int64_t>(sizeof(W)));
  for (int64_t r = 0; r < 4; ++r) {
    rows[r] = static_cast<const W*>(a.w.data) + (n + HWY_MIN(r, count - 1)) * a.K;
    next[r] = static_cast<const W*>(a.w.data) + HWY_MIN(n + ahead + r, a.N - 1) * a.K;
  }
  HWY_ALIGN float sums[kTokens][4];
  DotTile<kTokens>(static_cast<const float*>(a.x) + t * a.K, a.K, rows, next, sums);
  for (int64_t r = 0; r < count; ++r) {
    const float scale =
        a.w.row_scale == nullptr ? 1.0f : a.w.row_scale[(n + r) * a.w.row_scale_stride];
    const float bias = a.bias == nullptr ? 0.0f : a.bias[n + r];
    for (int i = 0; i < kTokens; ++i) {
      a.y[(t + i) * a.y_stride + n + r] = sums[i][r] * scale + bias;
    }
  }
}

template <class W>
void Rows(const LinearArgs& a) {
  const int64_t fours = kBlockBytes / (4 * a.K * static_cast<int64_t>(sizeof(W)));
  const int64_t block_rows = 4 * HWY_MAX(int64_t{1}, fours);
  for (int64_t begin = a.n_begin; begin < a.n_end; begin += block_rows) {
    const int64_t end = HWY_MIN(begin + block_rows, a.n_end);
    for (int64_t t = 0; t < a.M; t += kTileTokens) {
      const int64_t tokens = HWY_MIN(kTileTokens, a.M - t);
      for (int64_t n = begin; n < end; n += 4) {
        const int64_t count = HWY_MIN(int64_t{4}, end - n);
        if (tokens == kTileTokens) {
          Tile<kTileTokens, W>(a, t, n, count);
          continue;
        }
        for (int64_t i = 0; i < tokens; ++i) {
          Tile<1, W>(a, t + i, n, count);
        }
      }
    }
  }
}

void Linear(const LinearArgs& a) {
  switch (a.w.dtype) {
    case DType::kBF16:
      return Rows<hwy::bfloat16_t>(a);
    case DType::kF16:
      return Rows<hwy::float16_t>(a);
    case DType::kI8:
      return Rows<int8_t>(a);
    default:
      return Rows<float>(a);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(Linear);

void Run(const LinearArgs& a, const Workspace&) {
  HWY_DYNAMIC_DISPATCH(Linear)(a);
}

const char* WhyNot(const LinearArgs& a) {
  if (a.x_dtype != DType::kF32) return "integer inputs";
  if (a.w.dtype == DType::kI4) return "4-bit weights";
  return HwyUnavailable();
}

}  // namespace

extern const Kernel<LinearArgs> kLinearHwy = {"linear/hwy", Isa::kHwy, 10, Run, WhyNot, NoScratch};

}  // namespace octet
#endif  // HWY_ONCE
