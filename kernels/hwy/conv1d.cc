#include "kernels/conv1d.h"

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/conv1d.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/kernel.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

// Tokens that share their loads of taps where K == 4.
constexpr int kAtOnce = 4;

// kTokens tokens: rows[i + j] is input j, oldest first, of the i-th. kTaps is K, or 0 when only
// known at run time.
template <int kTaps, int kTokens>
void Tokens(const Conv1dArgs& a, const float* const* rows, float* y) {
  const hn::ScalableTag<float> d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  const int64_t K = kTaps > 0 ? kTaps : a.K;
  int64_t c = 0;
  for (; c + N <= a.C; c += N) {
    hn::Vec<decltype(d)> sum[kTokens];
    for (int i = 0; i < kTokens; ++i) {
      if (kTokens > 1) __builtin_prefetch(rows[K - 1 + i] + kTokens * a.x_stride + c);
      sum[i] = a.bias == nullptr ? hn::Zero(d) : hn::LoadU(d, a.bias + c);
    }
    for (int64_t j = 0; j < K; ++j) {
      const auto tap = hn::LoadU(d, a.taps + j * a.C + c);
      for (int i = 0; i < kTokens; ++i) {
        sum[i] = hn::MulAdd(tap, hn::LoadU(d, rows[i + j] + c), sum[i]);
      }
    }
    for (int i = 0; i < kTokens; ++i) {
      hn::StoreU(SiluV(d, sum[i]), d, y + i * a.C + c);
    }
  }
  for (; c < a.C; ++c) {
    for (int i = 0; i < kTokens; ++i) {
      float sum = a.bias == nullptr ? 0.0f : a.bias[c];
      for (int64_t j = 0; j < K; ++j) {
        sum = std::fma(a.taps[j * a.C + c], rows[i + j][c], sum);
      }
      y[i * a.C + c] = SiluF(sum);
    }
  }
}

// scratch: K - 1 + kAtOnce row pointers.
void Conv1d(const Conv1dArgs& a, void* scratch) {
  auto* rows = static_cast<const float**>(scratch);
  int64_t count = 0;
  for (int64_t t = 0; t < a.T; t += count) {
    count = a.K == 4 && a.T - t >= kAtOnce ? kAtOnce : 1;
    for (int64_t j = 0; j < a.K - 1 + count; ++j) {
      const int64_t s = t - a.K + 1 + j;
      rows[j] = s < 0 ? a.history[a.K - 1 + s] : a.x + s * a.x_stride;
    }
    const auto tokens = count > 1 ? Tokens<4, kAtOnce> : a.K == 4 ? Tokens<4, 1> : Tokens<0, 1>;
    tokens(a, rows, a.y + t * a.C);
  }
}

int64_t Conv1dScratch(const Conv1dArgs& a) {
  return (a.K - 1 + kAtOnce) * static_cast<int64_t>(sizeof(const float*));
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(Conv1d);

void Run(const Conv1dArgs& a, const Workspace& w) {
  HWY_DYNAMIC_DISPATCH(Conv1d)(a, w.scratch);
}

// The layout is the same on every target; the static one runs wherever one of them does.
int64_t ScratchBytes(const Conv1dArgs& a) {
  return HWY_STATIC_DISPATCH(Conv1dScratch)(a);
}

}  // namespace

extern const Kernel<Conv1dArgs> kConv1dHwy = {"conv1d/hwy", Isa::kHwy, 10,
                                              Run,          WhyNotHwy, ScratchBytes};

}  // namespace octet
#endif  // HWY_ONCE
