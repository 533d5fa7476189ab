// Float rows to int8 codes.
#ifndef OCTET_KERNELS_QUANTIZE_H_
#define OCTET_KERNELS_QUANTIZE_H_

#include <cstdint>

namespace octet {

// codes[t, c] = QuantizeI8(x[t, c], 1 / scale) (codecs/uniform.h), with
//   scales given: scale = scales[c * n_scales / C], n_scales divides C;
//   token_scales given (scales null): scale = ScaleForAbsMax(max_c |x[t, c]|), written to
//   token_scales[t].
// x must be finite. The same codes and scales from every kernel.
struct QuantizeArgs {
  int64_t T, C;
  const float* x;  // [T, C] with x_stride floats between rows
  int64_t x_stride;
  const float* scales;  // [n_scales] or null
  int64_t n_scales;
  float* token_scales;  // [T] out, or null
  int8_t* codes;        // [T, C] contiguous
  // Where not null, what the codes stand for: scale * code, [T, C] with x_stride; may equal x.
  float* decoded = nullptr;
};

}  // namespace octet
#endif  // OCTET_KERNELS_QUANTIZE_H_
