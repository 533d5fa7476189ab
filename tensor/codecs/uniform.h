// The uniform symmetric code, value = scale * code, and the one normative rounding rule.
#ifndef OCTET_TENSOR_CODECS_UNIFORM_H_
#define OCTET_TENSOR_CODECS_UNIFORM_H_

#include <bit>
#include <cmath>
#include <cstdint>

namespace octet {

// Codes of the 8-bit code run over [-127, 127]: -128 is never produced, which keeps u8 offset
// tricks and pairwise int16 sums safe (methods_mamba 2.0).
inline constexpr float kMaxCodeI8 = 127.0f;

// Rounds a positive, finite scale up to 12 significant bits; never below 2^-40, so that reciprocals
// stay finite.
//
// Why 12 bits: code * scale is then exact in fp32 (7 + 12 bits), a product of two decoded values is
// exact in fp64, and a dot product of decoded values accumulated in fp64 is exact while the integer
// sum stays below 2^29. A simulated run in floats and the integer run of the same recipe therefore
// compute the same real number, and agree bit for bit (docs/numerics.md). Upwards, so that the
// largest value still has a code.
inline float RoundScale(float scale) {
  if (!(scale > 0x1.0p-40f)) return 0x1.0p-40f;
  return std::bit_cast<float>((std::bit_cast<uint32_t>(scale) + 0xfffu) & ~0xfffu);
}

// The scale whose largest code holds `absmax`; 1 for an all-zero tensor.
inline float ScaleForAbsMax(float absmax, float max_code = kMaxCodeI8) {
  return absmax > 0.0f ? RoundScale(absmax / max_code) : 1.0f;
}

// Normative: multiply by the reciprocal in fp32, round half to even, saturate; NaN gives -127 (a
// value, not a meaning). `inverse_scale` is 1.0f / scale. Every other rounding to int8 in the tree
// equals this one, or is a codec with a name.
inline int8_t QuantizeI8(float x, float inverse_scale) {
  const float t = x * inverse_scale;
  const float above = t > -127.0f ? t : -127.0f;
  const float within = above < 127.0f ? above : 127.0f;
  // The last place of 1.5 * 2^23 is 1: adding it rounds and leaves the integer in the low bits,
  // without the call of a function that compilers cannot vectorise.
  return static_cast<int8_t>(std::bit_cast<int32_t>(within + 0x1.8p23f) - 0x4b400000);
}

// decode(encode(x)): what a simulated site holds. Exact, see RoundScale.
inline float FakeQuantizeI8(float x, float scale) {
  return scale * static_cast<float>(QuantizeI8(x, 1.0f / scale));
}

// Normative dequantization of an integer dot product: the exact product of `acc` and the two
// 12-bit scales' product, rounded to fp32 once.
inline float DequantizeAcc(int32_t acc, float scale_a, float scale_b) {
  return static_cast<float>(static_cast<double>(acc) *
                            (static_cast<double>(scale_a) * static_cast<double>(scale_b)));
}

}  // namespace octet
#endif  // OCTET_TENSOR_CODECS_UNIFORM_H_
