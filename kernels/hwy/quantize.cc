#include "kernels/quantize.h"

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/quantize.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/kernel.h"
#include "tensor/codecs/uniform.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

float AbsMax(const float* x, int64_t n) {
  const hn::ScalableTag<float> d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  auto most = hn::Zero(d);
  int64_t c = 0;
  for (; c + N <= n; c += N) {
    most = hn::Max(most, hn::Abs(hn::LoadU(d, x + c)));
  }
  float absmax = hn::GetLane(hn::MaxOfLanes(d, most));
  for (; c < n; ++c) {
    const float v = std::fabs(x[c]);
    if (v > absmax) absmax = v;
  }
  return absmax;
}

void QuantizeRow(const float* x, int64_t n, float inverse, int8_t* codes) {
  const hn::ScalableTag<float> d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  const auto v = hn::Set(d, inverse);
  int64_t c = 0;
  for (; c + N <= n; c += N) {
    StoreCodes(d, QuantizeV(d, hn::LoadU(d, x + c), v), codes + c);
  }
  for (; c < n; ++c) {
    codes[c] = QuantizeI8(x[c], inverse);
  }
}

void QuantizeRowPerChannel(const float* x, int64_t n, const float* inverse, int8_t* codes) {
  const hn::ScalableTag<float> d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  int64_t c = 0;
  for (; c + N <= n; c += N) {
    StoreCodes(d, QuantizeV(d, hn::LoadU(d, x + c), hn::LoadU(d, inverse + c)), codes + c);
  }
  for (; c < n; ++c) {
    codes[c] = QuantizeI8(x[c], inverse[c]);
  }
}

void DecodeRow(const int8_t* codes, int64_t n, float scale, float* x) {
  const hn::ScalableTag<float> d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  int64_t c = 0;
  for (; c + N <= n; c += N) {
    hn::StoreU(hn::Mul(hn::Set(d, scale), LoadCodes(d, codes + c)), d, x + c);
  }
  for (; c < n; ++c) {
    x[c] = scale * static_cast<float>(codes[c]);
  }
}

// inverse[c] of every channel.
void Inverses(const QuantizeArgs& a, float* inverse) {
  const int64_t width = a.C / a.n_scales;
  for (int64_t s = 0; s < a.n_scales; ++s) {
    const float value = 1.0f / a.scales[s];
    for (int64_t c = s * width; c < (s + 1) * width; ++c) {
      inverse[c] = value;
    }
  }
}

void Quantize(const QuantizeArgs& a, float* inverse) {
  const bool per_channel = a.scales != nullptr && a.n_scales > 1;
  if (per_channel) Inverses(a, inverse);
  for (int64_t t = 0; t < a.T; ++t) {
    const float* x = a.x + t * a.x_stride;
    int8_t* codes = a.codes + t * a.C;
    if (per_channel) {
      QuantizeRowPerChannel(x, a.C, inverse, codes);
    } else if (a.scales != nullptr) {
      QuantizeRow(x, a.C, 1.0f / a.scales[0], codes);
    } else {
      a.token_scales[t] = ScaleForAbsMax(AbsMax(x, a.C));
      QuantizeRow(x, a.C, 1.0f / a.token_scales[t], codes);
    }
    if (a.decoded == nullptr) continue;
    const int64_t parts = a.scales == nullptr ? 1 : a.n_scales;
    const int64_t width = a.C / parts;
    for (int64_t s = 0; s < parts; ++s) {
      const float scale = a.scales == nullptr ? a.token_scales[t] : a.scales[s];
      DecodeRow(codes + s * width, width, scale, a.decoded + t * a.x_stride + s * width);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(Quantize);

void Run(const QuantizeArgs& a, const Workspace& w) {
  HWY_DYNAMIC_DISPATCH(Quantize)(a, static_cast<float*>(w.scratch));
}

int64_t ScratchBytes(const QuantizeArgs& a) {
  return a.n_scales > 1 ? a.C * static_cast<int64_t>(sizeof(float)) : 0;
}

}  // namespace

extern const Kernel<QuantizeArgs> kQuantizeHwy = {"quantize/hwy", Isa::kHwy,   10, Run,
                                                  WhyNotHwy,      ScratchBytes};

}  // namespace octet
#endif  // HWY_ONCE
