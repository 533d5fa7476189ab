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

// log(1 + e^x); x itself above 20, as the models' reference code has it. Called once per head and
// token, so it uses libm in double and has no vector form.
inline float SoftplusF(float x) {
  return x > 20.0f ? x : static_cast<float>(std::log1p(std::exp(static_cast<double>(x))));
}

// Sum of `lanes[16]`, folded pairwise: i += i + 8, then + 4, + 2, + 1.
inline float FoldLanes16(float* lanes) {
  for (int half = 8; half >= 1; half /= 2) {
    for (int i = 0; i < half; ++i) {
      lanes[i] += lanes[i + half];
    }
  }
  return lanes[0];
}

}  // namespace octet
#endif  // OCTET_KERNELS_MATH_H_
