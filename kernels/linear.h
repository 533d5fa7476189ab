// y = x W^T + bias, in float and with integer codes.
#ifndef OCTET_KERNELS_LINEAR_H_
#define OCTET_KERNELS_LINEAR_H_

#include <cstdint>

#include "tensor/dtype.h"

namespace octet {

// How codes lie in memory: row after row as in files, or in the panels of kernels/panels.h, made
// once where a model is loaded.
enum class WeightLayout : uint8_t { kRows, kPanels };

// A weight matrix [N, K], row-major but for codes in panels, one row per output.
//   kF32, kF16, kBF16: value = data.
//   kI8: value = code * row_scale[n].
//   kI4: value = (code - 8) * group_scale[n, k / group] * row_scale[n]; rows are ceil(K / 2) bytes.
//        The integer group multiplier (1..127) keeps the whole dot product with codes in int32:
//        |sum| <= K * 127 * 8 * 127 < 2^31 for K <= 16643 (exec/ refuses more).
struct WeightView {
  DType dtype = DType::kF32;
  const void* data = nullptr;
  const float* row_scale = nullptr;           // [N], or [1] when row_scale_stride is 0
  int64_t row_scale_stride = 0;               // 0 or 1
  const uint8_t* group_scale = nullptr;       // kI4: [N, ceil(K / group)], or those of the panels
  int64_t group = 0;                          // kI4: columns per multiplier, a multiple of 32
  WeightLayout layout = WeightLayout::kRows;  // kPanels: kI8 or kI4 with i8 x
};

// Accepted combinations: any weights with f32 x; kI8 and kI4 weights with i8 x (codes within
// [-127, 127]).
//   float: y = sum_k x W, fp32 accumulation in a kernel-specific order (ref/: fp64 in ascending k,
//          rounded once), then + bias in fp32 (a kernel may start from the bias). 16-bit weights
//          are widened and codes decoded exactly; with codes ("weight-only": w8a16 and w4a16 of
//          methods_mamba 2.1) a kernel may sum x * code * group_scale first, and multiply the sum
//          by row_scale, with one more rounding.
//   integer: acc = sum_k x_code * w_code (kI4: sum_g group_scale * sum_k), exact in int32;
//          y = DequantizeAcc(acc, x_scale, row_scale) (codecs/uniform.h), then + bias in fp32: the
//          same bits from every kernel.
struct LinearArgs {
  int64_t M, N, K;         // tokens, outputs, inputs; all >= 1
  int64_t n_begin, n_end;  // outputs to compute, 0 <= n_begin < n_end <= N
  DType x_dtype;           // kF32 or kI8
  const void* x;           // [M, K] contiguous
  const float* x_scale;    // kI8: [M], or [1] when x_scale_stride is 0
  int64_t x_scale_stride;  // 0: one scale; 1: one per token
  WeightView w;
  const float* bias;          // [N] or null
  float* y;                   // [M, N]; only columns [n_begin, n_end) are written
  int64_t y_stride;           // floats between rows of y, >= N
  bool bf16_compute = false;  // float weights only: a kernel may round x and W to bf16 (fp32 sums)
};

}  // namespace octet
#endif  // OCTET_KERNELS_LINEAR_H_
