#include "edge/integer_norm.h"

#include <algorithm>
#include <bit>

namespace octet {

uint32_t ReciprocalRoot(uint32_t q) {
  uint64_t y = (uint64_t{35} << 26) - uint64_t{5} * (q >> 4);
  for (int i = 0; i < 4; ++i) {
    const uint64_t product = (y * y >> 31) * q >> 31;
    y = y * ((uint64_t{3} << 30) - product) >> 31;
  }
  return static_cast<uint32_t>(y);
}

void Normalize(const IntegerNorm& norm, std::span<int32_t> r) {
  int64_t sum = 0;
  for (const int32_t v : r) {
    sum += v;
  }
  const auto mean = static_cast<int32_t>(norm.mean(sum >> norm.sum_shift));
  uint32_t magnitudes = 0;
  for (int32_t& v : r) {
    v -= mean;
    magnitudes |= static_cast<uint32_t>(v < 0 ? ~v : v);
  }
  const int e = std::max(static_cast<int>(std::bit_width(magnitudes)) - kNormedBits, 0);
  auto Q = static_cast<uint64_t>(norm.eps >> 2 * e);
  for (const int32_t v : r) {
    const int64_t cut = v >> e;
    Q += static_cast<uint64_t>(cut * cut);
  }
  // Q is at least 1: eps where nothing was cut off, else a square of 2^22 or more.
  const int width = static_cast<int>(std::bit_width(Q));
  const int a = (width + 1) / 2 - 16;
  const auto q = static_cast<uint32_t>(a >= 0 ? Q >> 2 * a : Q << -2 * a);
  const int64_t y = ReciprocalRoot(q);
  for (size_t h = 0; h < r.size(); ++h) {
    const int64_t normed = ((r[h] >> e) * y + (int64_t{1} << (15 + a))) >> (16 + a);
    r[h] = norm.bias[h] + static_cast<int32_t>(norm.scale[h](normed));
  }
}

}  // namespace octet
