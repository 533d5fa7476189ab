// Float rows to the codes of any codec but int8 (kernels/quantize.h), and to what the codes decode
// to.
#ifndef OCTET_KERNELS_ENCODE_H_
#define OCTET_KERNELS_ENCODE_H_

#include <cstdint>

#include "tensor/codec.h"

namespace octet {

// code[t, c] = EncodeValue(codec, x[t, c], scale, zero) (tensor/codec.h) with scale =
// scales[c * n_scales / C], zero likewise; n_scales divides C. Any x, also NaN and infinities. The
// same bits from every kernel.
struct EncodeArgs {
  int64_t T, C;
  Codec codec;     // not kUniform
  const float* x;  // [T, C] with x_stride floats between rows
  int64_t x_stride;
  const float* scales;   // [n_scales]
  const uint8_t* zeros;  // [n_scales], or null for a codec without
  int64_t n_scales;
  float* y;  // out, or null: [T, C] decoded codes, y_stride floats between rows; may be x
  int64_t y_stride;
  void* codes;  // out, or null: [T, C] contiguous, CodeBytes(codec) each
};

}  // namespace octet
#endif  // OCTET_KERNELS_ENCODE_H_
