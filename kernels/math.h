// Normative elementary functions: the scalar form of what every kernel computes, bit for bit.
//
// hwy/math-inl.h holds the vector forms with the same operations in the same order. Accuracy is
// checked against double-precision libm in math_test.cc.
#ifndef OCTET_KERNELS_MATH_H_
#define OCTET_KERNELS_MATH_H_

#include <bit>
#include <cmath>
#include <cstdint>

namespace octet {

// e^x for any x <= 88.37 (larger x gives e^88.37); below -87.33 the result is 0. Relative error
// < 2e-7. x = n ln 2 + r, a degree-6 polynomial in r (truncation error 1e-8), 2^n through the
// exponent field.
inline float ExpF(float x) {
  if (!(x >= -87.33f)) return x < 0.0f ? 0.0f : x;  // NaN stays NaN
  const float clamped = x > 88.37f ? 88.37f : x;
  const float n = std::nearbyintf(clamped * 1.44269504088896341f);
  float r = std::fma(n, -0.693145751953125f, clamped);
  r = std::fma(n, -1.428606765330187e-06f, r);
  float p = 1.3926175889e-03f;
  p = std::fma(p, r, 8.3631733432e-03f);
  p = std::fma(p, r, 4.1666556150e-02f);
  p = std::fma(p, r, 1.6666577756e-01f);
  p = std::fma(p, r, 0.5f);
  p = std::fma(p, r, 1.0f);
  p = std::fma(p, r, 1.0f);
  const int32_t exponent = static_cast<int32_t>(n) + 127;
  return p * std::bit_cast<float>(static_cast<uint32_t>(exponent) << 23);
}

// x / (1 + e^-x).
inline float SiluF(float x) {
  return x / (1.0f + ExpF(-x));
}

// 1 / (1 + e^-x). Relative error < 3e-7 above -88; below it stays near e^-88.37, never quite 0.
inline float SigmoidF(float x) {
  return 1.0f / (1.0f + ExpF(-x));
}

// x Phi(x), Phi the normal distribution. Relative error < 5e-7 above -13.2, 0 below; infinity where
// x is. With a = |x| it is max(x, 0) - a Q, where Q = 1 - Phi(a) = e^(-a^2 / 2) t P(1 - 7.5 t),
// t = 1 / (a + 3.75), and the polynomial P is of degree 8 (minimax, relative error 1.5e-8). The
// square's rounding error is taken off after the exponential.
inline float GeluF(float x) {
  const float magnitude = std::fabs(x);
  const float a = magnitude > 14.0f ? 14.0f : magnitude;
  const float t = 1.0f / (a + 3.75f);
  const float s = std::fma(-7.5f, t, 1.0f);
  float p = 4.43355388959e-04f;
  p = std::fma(p, s, 5.09411656442e-04f);
  p = std::fma(p, s, -4.16913749403e-03f);
  p = std::fma(p, s, 1.20012096384e-03f);
  p = std::fma(p, s, 3.74925560055e-02f);
  p = std::fma(p, s, -1.51520833703e-01f);
  p = std::fma(p, s, 3.52939599980e-01f);
  p = std::fma(p, s, -5.88188277951e-01f);
  p = std::fma(p, s, 7.50294074266e-01f);
  const float square = a * a;
  const float rest = std::fma(a, a, -square);
  float e = ExpF(-0.5f * square);
  e = std::fma(-0.5f * rest, e, e);
  return std::fma(-(a * (t * p)), e, x > 0.0f ? x : 0.0f);
}

// x clamp(x + 2, 0, 4) / 4, the piecewise quadratic form of GELU: x above 2, and a zero below -2.
inline float PiecewiseGeluF(float x) {
  const float v = x < -2.0f ? -2.0f : x;
  const float up = v + 2.0f;
  return v * (0.25f * (up > 4.0f ? 4.0f : up));
}

// log(1 + e^x) for any x; infinity where x is. Relative error < 5e-7 above -87.33, 0 below. It is
// max(x, 0) + log(1 + e) with e = e^-|x|, and log(1 + e) = 2 artanh(s), s = e / (2 + e) <= 1 / 3;
// artanh(s) / s is a polynomial of degree 4 in s^2 (truncation error 8e-9).
inline float SoftplusF(float x) {
  const float e = ExpF(-std::fabs(x));
  const float s = e / (2.0f + e);
  const float z = s * s;
  float p = 1.4087328631e-01f;
  p = std::fma(p, z, 1.3980709418e-01f);
  p = std::fma(p, z, 2.0012426862e-01f);
  p = std::fma(p, z, 3.3333157968e-01f);
  p = std::fma(p, z, 1.0f);
  return (x > 0.0f ? x : 0.0f) + s * (2.0f * p);
}

// Sum of `lanes[16]`, folded pairwise: i += i + 8, then + 4, + 2, + 1.
template <class Real>
Real FoldLanes16(Real* lanes) {
  for (int half = 8; half >= 1; half /= 2) {
    for (int i = 0; i < half; ++i) {
      lanes[i] += lanes[i + half];
    }
  }
  return lanes[0];
}

}  // namespace octet
#endif  // OCTET_KERNELS_MATH_H_
