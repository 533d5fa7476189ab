// The 16-bit code that a soft edge is to be compared with (methods_edge 1.6): the fine step s / 4
// everywhere, up to the ceiling of SE9, value = code * s / 4 with codes [-1580, 1580].
//
// It has every value that SE9 has, and therefore never a larger error, for the two bytes that SE9
// takes as well. Codes stop at 1580 because 11 bits times the 12 of the scale are exact in fp32,
// and 16 would not be. Rounds as the uniform code does: times the fp32 reciprocal, half to even,
// saturating. NaN has code 0.
#ifndef OCTET_TENSOR_CODECS_INT16_H_
#define OCTET_TENSOR_CODECS_INT16_H_

#include <algorithm>
#include <cmath>

namespace octet {

inline constexpr int kInt16MaxCode = 4 * 395;

inline int EncodeInt16(float x, float scale) {
  const float code = std::nearbyintf(x * (4.0f * (1.0f / scale)));
  if (std::isnan(code)) return 0;
  constexpr auto kLimit = static_cast<float>(kInt16MaxCode);
  return static_cast<int>(std::clamp(code, -kLimit, kLimit));
}
inline float DecodeInt16(int code, float scale) {
  return static_cast<float>(code) * (0.25f * scale);
}

}  // namespace octet
#endif  // OCTET_TENSOR_CODECS_INT16_H_
