// Products of float matrices for the quantization algorithms.
#ifndef OCTET_QUANT_PRODUCT_H_
#define OCTET_QUANT_PRODUCT_H_

#include <cstdint>

namespace octet {

// out [m, n] = a [m, k] b [n, k]^T, all contiguous, by the fastest float Linear kernel of this
// machine, on the calling thread. The order of summation depends on the kernel and on the sizes
// only, so callers that partition by size get the same bits for every number of threads.
void MultiplyTransposed(const float* a, int64_t m, const float* b, int64_t n, int64_t k,
                        float* out);

// to [cols, rows] (contiguous) = from [rows, cols]^T, whose rows lie `stride` apart.
void Transpose(const float* from, int64_t rows, int64_t cols, int64_t stride, float* to);

}  // namespace octet
#endif  // OCTET_QUANT_PRODUCT_H_
