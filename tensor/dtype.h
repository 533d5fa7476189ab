// Element types, and exact conversions between them.
#ifndef OCTET_TENSOR_DTYPE_H_
#define OCTET_TENSOR_DTYPE_H_

#include <bit>
#include <cstdint>

namespace octet {

// kI4: two codes per byte, low nibble first, code 8 is zero (value = code - 8); rows start on a
// byte.
enum class DType : uint8_t { kF32, kF16, kBF16, kI8, kI4, kU8, kI32, kI64 };

const char* DTypeName(DType dtype);  // "f32", "bf16", ...

// Bytes of `count` elements that are stored together; kI4 rounds up to a whole byte.
constexpr int64_t BytesOf(DType dtype, int64_t count) {
  switch (dtype) {
    case DType::kF32:
    case DType::kI32:
      return count * 4;
    case DType::kF16:
    case DType::kBF16:
      return count * 2;
    case DType::kI64:
      return count * 8;
    case DType::kI4:
      return (count + 1) / 2;
    case DType::kI8:
    case DType::kU8:
      return count;
  }
  return 0;
}

inline float BF16ToF32(uint16_t v) {
  return std::bit_cast<float>(static_cast<uint32_t>(v) << 16);
}

// Round half to even; NaN stays NaN.
inline uint16_t F32ToBF16(float v) {
  const uint32_t bits = std::bit_cast<uint32_t>(v);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

inline float F16ToF32(uint16_t v) {
  const uint32_t sign = static_cast<uint32_t>(v & 0x8000u) << 16;
  const uint32_t exponent = (v >> 10) & 0x1fu;
  const uint32_t mantissa = v & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float subnormal = static_cast<float>(mantissa) * 0x1.0p-24f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(subnormal) | sign);
}

// Round half to even; beyond the range becomes infinity, NaN stays NaN.
inline uint16_t F32ToF16(float v) {
  const uint32_t bits = std::bit_cast<uint32_t>(v);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {  // below 2^-14: the sum's last place is 2^-24
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(sum) - 0x3f000000u));
  }
  const uint32_t rounded = magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1);
  return static_cast<uint16_t>(sign | (rounded >> 13));
}

}  // namespace octet
#endif  // OCTET_TENSOR_DTYPE_H_
