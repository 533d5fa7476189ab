// SEG8: the soft edge carried to its end, as telephony companding does (methods_edge 1.3). One
// byte; 64 codes of one step, then the step doubles every 32 codes.
//
// code = t + zero, t in [-zero, 255 - zero]. t < 64 (negatives included) stands for t steps; above,
//   e = t / 32 - 1,  value = (t % 32 + 32) 2^e steps,
// so relative errors are at most 1/64 beyond 32 steps. The step is the scale, the quotient x /
// scale is one of fp32 and halves round away from zero. Decoded values have 6 bits times the 12 of
// the scale, exact in fp32. NaN has the code of zero, infinities those of the ends.
#ifndef OCTET_TENSOR_CODECS_SEGMENTED_H_
#define OCTET_TENSOR_CODECS_SEGMENTED_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace octet {

// Above every value that has a code, which ends at 63 * 2^6 steps.
inline constexpr float kSeg8Limit = 0x1.0p13f;

constexpr int Seg8Units(int t) {
  return t < 64 ? t : ((t & 31) + 32) << ((t >> 5) - 1);
}

inline int EncodeSeg8(float x, float scale, int zero) {
  const float a = std::fabs(x) / scale;
  if (!(a > 0.0f)) return zero;
  if (x < 0.0f) return zero - static_cast<int>(std::min(std::round(a), static_cast<float>(zero)));
  const float limited = std::min(a, kSeg8Limit);
  // limited = q 2^e with q in [32, 64) where e > 0; a q rounded up to 64 carries into the next
  // step.
  const int e = std::max(static_cast<int>(std::bit_cast<uint32_t>(limited) >> 23) - (127 + 5), 0);
  const float inverse_step = std::bit_cast<float>(static_cast<uint32_t>(127 - e) << 23);
  return zero + std::min(32 * e + static_cast<int>(std::round(limited * inverse_step)), 255 - zero);
}
inline float DecodeSeg8(int code, float scale, int zero) {
  return static_cast<float>(Seg8Units(code - zero)) * scale;
}

}  // namespace octet
#endif  // OCTET_TENSOR_CODECS_SEGMENTED_H_
