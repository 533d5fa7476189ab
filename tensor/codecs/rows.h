// Rows of stored codes as floats: what a quantized weight means, for everything that decodes one.
#ifndef OCTET_TENSOR_CODECS_ROWS_H_
#define OCTET_TENSOR_CODECS_ROWS_H_

#include <algorithm>
#include <cstdint>

namespace octet {

// out[c] = scale * codes[c] for n codes. Exact: 7 bits and the scale's 12 (docs/numerics.md).
inline void DecodeRowI8(const int8_t* codes, float scale, int64_t n, float* out) {
  for (int64_t c = 0; c < n; ++c) {
    out[c] = scale * static_cast<float>(codes[c]);
  }
}

// out[c] = (code - 8) * multipliers[c / group] * scale for n codes, two in a byte, the low nibble
// first; `group` is even. Exact: 4 bits, 7 of the multiplier and the scale's 12.
inline void DecodeRowI4(const uint8_t* codes, const uint8_t* multipliers, int64_t group,
                        float scale, int64_t n, float* out) {
  for (int64_t begin = 0; begin < n; begin += group) {
    const float step = scale * static_cast<float>(*multipliers++);
    const int64_t end = std::min(begin + group, n);
    int64_t c = begin;
    for (; c + 2 <= end; c += 2) {
      const int pair = codes[c / 2];
      out[c] = step * static_cast<float>((pair & 15) - 8);
      out[c + 1] = step * static_cast<float>((pair >> 4) - 8);
    }
    if (c < end) out[c] = step * static_cast<float>((codes[c / 2] & 15) - 8);
  }
}

}  // namespace octet
#endif  // OCTET_TENSOR_CODECS_ROWS_H_
