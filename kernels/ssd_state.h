// The recurrent state's storage formats, in scalar form (StateView in kernels/ssd.h): normative.
//
// With t = value * (1 / scale) in fp32, and the scale of the row's largest value (dynamic) or a
// calibrated one (static):
//   nearest     code = rne(t)
//   stochastic  code = floor(t) + (u < t - floor(t)), u in [0, 1) by NoiseAt
//   feedback    c = rne(16 t) within 16 * +-127 + {-8..7};  code = floor((c + 8) / 16),
//               residual = c - 16 code;  value = scale * c / 16
// Codes saturate symmetrically; NaN becomes the lowest. kF16 rounds to the nearest half, or adds 13
// random bits below the half's last place and truncates.
#ifndef OCTET_KERNELS_SSD_STATE_H_
#define OCTET_KERNELS_SSD_STATE_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/ssd.h"
#include "tensor/codecs/uniform.h"
#include "tensor/dtype.h"

namespace octet {

// The finalizer of SplitMix64 (Steele et al. 2014).
constexpr uint64_t MixBits(uint64_t z) {
  z += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

// StateView::noise_key.
constexpr uint64_t NoiseKey(uint64_t seed, int layer) {
  return MixBits(MixBits(seed) + static_cast<uint64_t>(layer));
}

// Random bits for one row at one store: `position` tokens of the stream have been seen then.
struct RowNoise {
  RowNoise(uint64_t key, int64_t position, int64_t row)
      : bits(MixBits(MixBits(key + static_cast<uint64_t>(position)) + static_cast<uint64_t>(row))) {
  }
  uint64_t bits;
};

// 32 random bits for element n of the row: a counter-based hash, so that order does not matter.
constexpr uint32_t NoiseAt(const RowNoise& noise, int64_t n) {
  uint32_t x = static_cast<uint32_t>(noise.bits) + static_cast<uint32_t>(n) * 0x9e3779b9u;
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x ^= static_cast<uint32_t>(noise.bits >> 32);
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

// The same as a number in [0, 1), of 24 bits.
inline float UniformOf(uint32_t noise) {
  return static_cast<float>(noise >> 8) * 0x1.0p-24f;
}

inline float RoundStochastic(float t, float uniform) {
  const float below = std::floor(t);
  return below + (uniform < t - below ? 1.0f : 0.0f);
}

// The half that StateRounding::kStochastic chooses for `value`, as a float.
inline float HalfStochastic(float value, uint32_t noise) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x7f800000u) return value;
  if (magnitude < 0x38800000u) {  // below 2^-14 halves are multiples of 2^-24
    const float steps = RoundStochastic(std::fabs(value) * 0x1.0p24f, UniformOf(noise));
    return std::copysign(steps * 0x1.0p-24f, value);
  }
  const uint32_t up = (magnitude + (noise >> 19)) & ~0x1fffu;
  return std::bit_cast<float>((bits & 0x80000000u) | up);
}

inline int32_t ClampCode(float code, float low, float high) {
  return static_cast<int32_t>(code >= high ? high : code > low ? code : low);
}

// code and residual of StateRounding::kFeedback together: 16 code + residual.
inline constexpr float kLowFeedback = -16 * 127 - 8;
inline constexpr float kHighFeedback = 16 * 127 + 7;
inline int32_t FeedbackCode(float t) {
  return ClampCode(std::nearbyintf(16.0f * t), kLowFeedback, kHighFeedback);
}

// Residuals lie in bytes that vectors can read: byte j of a row holds residual + 8 of element j in
// its low four bits, and of element j + (N + 1) / 2 in its high ones.
inline int64_t ResidualBytes(int64_t N) {
  return (N + 1) / 2;
}
inline int32_t ResidualAt(const uint8_t* row, int64_t N, int64_t n) {
  const int64_t half = ResidualBytes(N);
  return (n < half ? row[n] & 15 : row[n - half] >> 4) - 8;
}
inline void SetResidual(uint8_t* row, int64_t N, int64_t n, int32_t residual) {
  const int64_t half = ResidualBytes(N);
  const auto four = static_cast<uint8_t>(residual + 8);
  uint8_t& byte = row[n < half ? n : n - half];
  byte = n < half ? static_cast<uint8_t>((byte & 0xf0) | four)
                  : static_cast<uint8_t>((byte & 0x0f) | (four << 4));
}

// The scales of a row: the same one for all its columns, or one for each. A store of a dynamic
// format chooses its scale before it asks.
struct RowScale {
  const float* values;
  bool per_column;
  // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): states in codes have scales
  float At(int64_t n) const { return per_column ? values[n] : values[0]; }
};
inline RowScale ScaleOfRow(const StateView& h, int64_t row) {
  if (h.fixed != nullptr) return {h.fixed->Row(row), h.fixed->columns > 1};
  return {h.scales + row, false};
}

// Reads row `row` = head * P + p, the N values h[head, p, :], as fp32. One rounding where code and
// scale have more than 24 bits (kI16), else exact.
inline void LoadStateRow(const StateView& h, int64_t row, int64_t N, float* values) {
  const int64_t begin = row * N;
  switch (h.format.codec) {
    case StateCodec::kF32:
      std::copy_n(static_cast<const float*>(h.data) + begin, N, values);
      return;
    case StateCodec::kF16:
      std::transform(static_cast<const uint16_t*>(h.data) + begin,
                     static_cast<const uint16_t*>(h.data) + begin + N, values, F16ToF32);
      return;
    case StateCodec::kI16:
      for (int64_t n = 0; n < N; ++n) {
        values[n] =
            static_cast<float>(static_cast<const int16_t*>(h.data)[begin + n]) * h.scales[row];
      }
      return;
    case StateCodec::kI8:
    case StateCodec::kI8Static:
      break;
  }
  const int8_t* codes = static_cast<const int8_t*>(h.data) + begin;
  const RowScale scale = ScaleOfRow(h, row);
  for (int64_t n = 0; n < N; ++n) {
    values[n] = static_cast<float>(codes[n]) * scale.At(n);
    if (h.residuals == nullptr) continue;
    const int32_t c = 16 * codes[n] + ResidualAt(h.residuals + row * ResidualBytes(N), N, n);
    values[n] = static_cast<float>(c) * 0.0625f * scale.At(n);
  }
}

// Rounds `values` [N] to the format and writes them to row `row`, choosing a dynamic scale anew.
// `token`: how many tokens of the call the state has seen.
inline void StoreStateRow(const StateView& h, int64_t row, int64_t N, int64_t token,
                          const float* values) {
  const int64_t begin = row * N;
  if (h.unrounded != nullptr) std::copy_n(values, N, h.unrounded + begin);
  const bool stochastic = h.format.rounding == StateRounding::kStochastic;
  const RowNoise noise(h.noise_key, h.position + token, row);
  if (h.format.codec == StateCodec::kF32) {
    std::copy_n(values, N, static_cast<float*>(h.data) + begin);
    return;
  }
  if (h.format.codec == StateCodec::kF16) {
    uint16_t* data = static_cast<uint16_t*>(h.data) + begin;
    for (int64_t n = 0; n < N; ++n) {
      data[n] = F32ToF16(stochastic ? HalfStochastic(values[n], NoiseAt(noise, n)) : values[n]);
    }
    return;
  }
  const float most = h.format.max_code();
  if (h.format.dynamic_scales()) {
    float absmax = 0.0f;
    for (int64_t n = 0; n < N; ++n) {
      absmax = std::fmax(absmax, std::fabs(values[n]));
    }
    h.scales[row] = ScaleForAbsMax(absmax, most);
  }
  const RowScale scale = ScaleOfRow(h, row);
  for (int64_t n = 0; n < N; ++n) {
    const float t = values[n] * (1.0f / scale.At(n));
    int32_t code;
    if (h.format.rounding == StateRounding::kFeedback) {
      const int32_t c = FeedbackCode(t);
      code = (c + 8) >> 4;
      SetResidual(h.residuals + row * ResidualBytes(N), N, n, c - 16 * code);
    } else {
      const float rounded =
          stochastic ? RoundStochastic(t, UniformOf(NoiseAt(noise, n))) : std::nearbyintf(t);
      code = ClampCode(rounded, -most, most);
    }
    if (h.format.codec == StateCodec::kI16) {
      static_cast<int16_t*>(h.data)[begin + n] = static_cast<int16_t>(code);
    } else {
      static_cast<int8_t*>(h.data)[begin + n] = static_cast<int8_t>(code);
    }
  }
}

}  // namespace octet
#endif  // OCTET_KERNELS_SSD_STATE_H_
