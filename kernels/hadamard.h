// Orthonormal Hadamard transform of each row, for orders k * 2^m.
#ifndef OCTET_KERNELS_HADAMARD_H_
#define OCTET_KERNELS_HADAMARD_H_

#include <cstdint>

namespace octet {

// How a transform of n channels is built (methods_mamba 2.2, 3.3). n = blocks * k * 2^m: the row
// splits into `blocks` independent pieces of k * 2^m; inside a piece, viewed as [k, 2^m], radix-2
// butterflies run along the fast axis, then `factor` along the slow axis. k = 1: Sylvester alone.
struct HadamardShape {
  int64_t n = 0;
  int64_t blocks = 1;
  int64_t k = 1;
  int m = 0;  // log2 of the power-of-two part
  const int8_t* factor =
      nullptr;  // [k, k], entries +1 and -1, H H^T = k I; null when k == 1.
                // Not symmetric in general: row i of the output is sum_j factor[i, j] v[j]
};

// y[t] = H x[t] / sqrt(k 2^m). The butterfly order is fixed (stride 1, 2, 4, ...; a + b, a - b),
// the factor sums j ascending from +-v[0], the scale float(1 / sqrt(double(k 2^m))) multiplies
// last: the same bits from every kernel.
struct HadamardArgs {
  int64_t T;
  HadamardShape shape;
  const float* x;  // [T, n] contiguous
  float* y;        // [T, n] contiguous; may equal x
};

}  // namespace octet
#endif  // OCTET_KERNELS_HADAMARD_H_
