// Uniform affine codes of any width, simulated: what arXiv:2506.12480 quantizes S4D with.
#ifndef OCTET_TENSOR_CODECS_AFFINE_H_
#define OCTET_TENSOR_CODECS_AFFINE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace octet {

// The values that were seen; empty before the first.
struct SeenRange {
  float low = std::numeric_limits<float>::infinity();
  float high = -std::numeric_limits<float>::infinity();

  bool empty() const { return low > high; }
  void Include(float v) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  void Include(const SeenRange& other) {
    low = std::min(low, other.low);
    high = std::max(high, other.high);
  }
  friend bool operator==(const SeenRange&, const SeenRange&) = default;
};

// Rounds half to even without a call, so that loops over it become vectors; |v| < 2^22, or 2^51.
inline float RoundHalfEven(float v) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: no place for a fraction is left
  return (v + kMagic) - kMagic;
}
inline double RoundHalfEven(double v) {
  constexpr double kMagic = 6755399441055744.0;  // 1.5 * 2^52
  return (v + kMagic) - kMagic;
}

// code = rne(clamp(v * inverse + zero, low, high)), value = (code - zero) * scale. A default one
// has no codes and keeps every value.
struct AffineCode {
  float scale = 0;    // 0: keeps every value
  float inverse = 0;  // 1 / scale, rounded
  float zero = 0;     // an integer
  float low = 0, high = 0;

  friend bool operator==(const AffineCode&, const AffineCode&) = default;

  // Where v lies among the codes, before the limits and the rounding.
  template <class Real>
  Real Place(Real v) const {
    return v * static_cast<Real>(inverse) + static_cast<Real>(zero);
  }
  // Whether v lies within half a step of the codes: what lies on the lowest or the highest does,
  // however its place was rounded.
  template <class Real>
  bool Holds(Real v) const {
    constexpr Real kHalf = 0.5;
    return scale == 0 || (Place(v) >= static_cast<Real>(low) - kHalf &&
                          Place(v) <= static_cast<Real>(high) + kHalf);
  }
  template <class Real>
  Real operator()(Real v) const {
    if (scale == 0) return v;
    // Before the rounding, so that it stays exact; the limits are integers.
    const Real t = std::clamp(Place(v), static_cast<Real>(low), static_cast<Real>(high));
    return (RoundHalfEven(t) - static_cast<Real>(zero)) * static_cast<Real>(scale);
  }
};

// A code without steps: every value becomes 0, and is held.
constexpr AffineCode kZeroCode{.scale = 1};

// `code` with that scale, or kZeroCode where the scale is too small to have an inverse.
inline AffineCode WithScale(float scale, AffineCode code) {
  code.scale = scale;
  code.inverse = 1 / scale;
  return std::isfinite(code.inverse) ? code : kZeroCode;
}

// The code of `bits` (2 to 16; 0: a default one) for `range`:
//   symmetric   zero = 0, scale = max |v| / (2^(bits-1) - 1), codes +-(2^(bits-1) - 1)
//   asymmetric  codes -2^(bits-1) .. 2^(bits-1) - 1, scale = (high - low) / (2^bits - 1),
//               zero = rne(-2^(bits-1) - low / scale)
// The zero has 16 bits: a range so far from 0 that it would need more is widened towards 0 until it
// fits, where the paper's code cuts the zero off and loses the range. A range of one value, which
// has no asymmetric scale, gets the symmetric code. Zeros alone, or values below 1e-38:
// kZeroCode, as integers have no other way. An empty range: a default one.
inline AffineCode MakeAffineCode(const SeenRange& range, int bits, bool symmetric) {
  AffineCode code;
  if (bits == 0 || range.empty()) return code;
  constexpr float kLeastZero = -32768, kMostZero = 32767;
  const auto half = static_cast<float>(int64_t{1} << (bits - 1));
  const float peak = std::max(std::fabs(range.low), std::fabs(range.high));
  if (peak == 0) return kZeroCode;
  code.high = half - 1;
  if (symmetric || !(range.high > range.low)) {
    code.low = -code.high;
    return WithScale(peak / code.high, code);
  }
  // In double: the difference of two large ends has few digits.
  const double steps = 2.0 * half - 1;
  double low = range.low, high = range.high;
  if (const double room = -half - kLeastZero; low > 0) {
    low = std::min(low, high * (room / (steps + room)));
  } else if (high < 0) {
    high = std::max(high, low * (1 - steps / (kMostZero + half)));
  }
  code.low = -half;
  const double zero = std::nearbyint(-half - low / ((high - low) / steps));
  code.zero = std::clamp(static_cast<float>(zero), kLeastZero, kMostZero);
  return WithScale(static_cast<float>((high - low) / steps), code);
}

}  // namespace octet
#endif  // OCTET_TENSOR_CODECS_AFFINE_H_
