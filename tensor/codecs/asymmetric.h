// The uniform code with a zero point: one unsigned byte, value = scale * (code - zero). What a
// one-sided tensor should be compared with (methods_edge 1.3).
//
// Rounds as the uniform symmetric code does: times the fp32 reciprocal, half to even, saturating.
// Decoded values have 8 bits times the 12 of the scale, exact in fp32. NaN has the code of zero.
#ifndef OCTET_TENSOR_CODECS_ASYMMETRIC_H_
#define OCTET_TENSOR_CODECS_ASYMMETRIC_H_

#include <algorithm>
#include <cmath>

namespace octet {

inline int EncodeAsymmetric(float x, float scale, int zero) {
  const float code = std::nearbyintf(x * (1.0f / scale)) + static_cast<float>(zero);
  if (std::isnan(code)) return zero;
  return static_cast<int>(std::clamp(code, 0.0f, 255.0f));
}
inline float DecodeAsymmetric(int code, float scale, int zero) {
  return scale * static_cast<float>(code - zero);
}

}  // namespace octet
#endif  // OCTET_TENSOR_CODECS_ASYMMETRIC_H_
