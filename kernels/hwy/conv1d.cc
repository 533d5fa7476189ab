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

// weight [C, K] to taps [K, C].
void TransposeTaps(const float* weight, int64_t C, int64_t K, float* taps) {
  int64_t c = 0;
  if (K == 4) {
    const hn::ScalableTag<float> d;
    const auto N = static_cast<int64_t>(hn::Lanes(d));
    for (; c + N <= C; c += N) {
      hn::Vec<decltype(d)> w0;
      hn::Vec<decltype(d)> w1;
      hn::Vec<decltype(d)> w2;
      hn::Vec<decltype(d)> w3;
      hn::LoadInterleaved4(d, weight + c * 4, w0, w1, w2, w3);
      hn::StoreU(w0, d, taps + c);
      hn::StoreU(w1, d, taps + C + c);
      hn::StoreU(w2, d, taps + 2 * C + c);
      hn::StoreU(w3, d, taps + 3 * C + c);
    }
  }
  for (; c < C; ++c) {
    for (int64_t j = 0; j < K; ++j) {
      taps[j * C + c] = weight[c * K + j];
    }
  }
}

// One token: rows[j] are the K inputs, oldest first. kTaps is K, or 0 when only known at run time.
template <int kTaps>
void Token(const float* const* rows, const float* taps, const float* bias, int64_t C, int64_t K,
           float* y) {
  const hn::ScalableTag<float> d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  const int64_t n_taps = kTaps > 0 ? kTaps : K;
  int64_t c = 0;
  for (; c + N <= C; c += N) {
    auto sum = bias == nullptr ? hn::Zero(d) : hn::LoadU(d, bias + c);
    for (int64_t j = 0; j < n_taps; ++j) {
      sum = hn::MulAdd(hn::LoadU(d, taps + j * C + c), hn::LoadU(d, rows[j] + c), sum);
    }
    hn::StoreU(SiluV(d, sum), d, y + c);
  }
  for (; c < C; ++c) {
    float sum = bias == nullptr ? 0.0f : bias[c];
    for (int64_t j = 0; j < n_taps; ++j) {
      sum = std::fma(taps[j * C + c], rows[j][c], sum);
    }
    y[c] = SiluF(sum);
  }
}

// scratch: K row pointers, then the taps.
void Conv1d(const Conv1dArgs& a, void* scratch) {
  auto* rows = static_cast<const float**>(scratch);
  auto* taps = reinterpret_cast<float*>(rows + a.K);
  TransposeTaps(a.weight, a.C, a.K, taps);
  for (int64_t t = 0; t < a.T; ++t) {
    for (int64_t j = 0; j < a.K; ++j) {
      const int64_t s = t - a.K + 1 + j;
      rows[j] = s < 0 ? a.history + (a.K - 1 + s) * a.C : a.x + s * a.x_stride;
    }
    const auto token = a.K == 4 ? Token<4> : Token<0>;
    token(rows, taps, a.bias, a.C, a.K, a.y + t * a.C);
  }
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
  PushHistory(a);
}

int64_t ScratchBytes(const Conv1dArgs& a) {
  return a.K * static_cast<int64_t>(sizeof(const float*)) +
         a.K * a.C * static_cast<int64_t>(sizeof(float));
}

}  // namespace

extern const Kernel<Conv1dArgs> kConv1dHwy = {"conv1d/hwy", Isa::kHwy, 10,
                                              Run,          WhyNotHwy, ScratchBytes};

}  // namespace octet
#endif  // HWY_ONCE
