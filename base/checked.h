// Arithmetic on sizes that come from files.
#ifndef OCTET_BASE_CHECKED_H_
#define OCTET_BASE_CHECKED_H_

#include <cstdint>
#include <optional>
#include <span>

namespace octet {

// a * b for a, b >= 0; nothing when an operand is negative or the product exceeds int64.
inline std::optional<int64_t> CheckedMul(int64_t a, int64_t b) {
  int64_t product = 0;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// a + b for a, b >= 0; nothing when an operand is negative or the sum exceeds int64.
inline std::optional<int64_t> CheckedAdd(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (a < 0 || b < 0 || __builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

// Number of elements of `shape` (1 for an empty shape); nothing on a negative size or overflow.
inline std::optional<int64_t> CheckedCount(std::span<const int64_t> shape) {
  std::optional<int64_t> count = 1;
  for (const int64_t n : shape) {
    count = CheckedMul(*count, n);
    if (!count) return std::nullopt;
  }
  return count;
}

inline int64_t CeilDiv(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace octet
#endif  // OCTET_BASE_CHECKED_H_
