// Vector form of kernels/ssd_state.h, with the same bits.
//
// Included once per target, after kernels/hwy/math-inl.h.
#if defined(OCTET_KERNELS_HWY_SSD_STATE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OCTET_KERNELS_HWY_SSD_STATE_INL_H_
#undef OCTET_KERNELS_HWY_SSD_STATE_INL_H_
#else
#define OCTET_KERNELS_HWY_SSD_STATE_INL_H_
#endif

#include <cmath>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/ssd.h"
#include "tensor/codecs/uniform.h"
#include "tensor/dtype.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

inline void LoadHalves(const uint16_t* halves, int64_t n, float* values) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> d16;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto* from = reinterpret_cast<const hwy::float16_t*>(halves + i);
    hn::StoreU(hn::PromoteTo(d, hn::LoadU(d16, from)), d, values + i);
  }
  for (; i < n; ++i) {
    values[i] = F16ToF32(halves[i]);
  }
}

inline void StoreHalves(const float* values, int64_t n, uint16_t* halves) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> d16;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    auto* to = reinterpret_cast<hwy::float16_t*>(halves + i);
    hn::StoreU(hn::DemoteTo(d16, hn::LoadU(d, values + i)), d16, to);
  }
  for (; i < n; ++i) {
    halves[i] = F32ToF16(values[i]);
  }
}

// values[i] = codes[i] * scale.
inline void DecodeCodes(const int8_t* codes, int64_t n, float scale, float* values) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(hn::Mul(LoadCodes(d, codes + i), hn::Set(d, scale)), d, values + i);
  }
  for (; i < n; ++i) {
    values[i] = static_cast<float>(codes[i]) * scale;
  }
}

// The largest |values[i]|, i < n.
inline float AbsMax(const float* values, int64_t n) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto most = hn::Zero(d);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    most = hn::Max(most, hn::Abs(hn::LoadU(d, values + i)));
  }
  float absmax = hn::GetLane(hn::MaxOfLanes(d, most));
  for (; i < n; ++i) {
    absmax = std::fmax(absmax, std::fabs(values[i]));
  }
  return absmax;
}

// codes[i] = QuantizeI8(values[i], 1 / scale) with the scale of the largest value, which is
// returned.
inline float EncodeCodes(const float* values, int64_t n, int8_t* codes) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const float scale = ScaleForAbsMax(AbsMax(values, n));
  const float inverse = 1.0f / scale;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    StoreCodes(d, QuantizeV(d, hn::LoadU(d, values + i), hn::Set(d, inverse)), codes + i);
  }
  for (; i < n; ++i) {
    codes[i] = QuantizeI8(values[i], inverse);
  }
  return scale;
}

inline void LoadStateRowV(const StateView& h, int64_t row, int64_t N, float* values) {
  if (h.dtype == DType::kF32) {
    std::memcpy(values, static_cast<const float*>(h.data) + row * N,
                static_cast<size_t>(N) * sizeof(float));
  } else if (h.dtype == DType::kF16) {
    LoadHalves(static_cast<const uint16_t*>(h.data) + row * N, N, values);
  } else {
    DecodeCodes(static_cast<const int8_t*>(h.data) + row * N, N, h.scales[row], values);
  }
}

inline void StoreStateRowV(const StateView& h, int64_t row, int64_t N, const float* values) {
  if (h.dtype == DType::kF32) {
    std::memcpy(static_cast<float*>(h.data) + row * N, values,
                static_cast<size_t>(N) * sizeof(float));
  } else if (h.dtype == DType::kF16) {
    StoreHalves(values, N, static_cast<uint16_t*>(h.data) + row * N);
  } else {
    h.scales[row] = EncodeCodes(values, N, static_cast<int8_t*>(h.data) + row * N);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#endif  // OCTET_KERNELS_HWY_SSD_STATE_INL_H_
