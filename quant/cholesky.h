// The triangular factor that GPTQ reads its corrections from.
#ifndef OCTET_QUANT_CHOLESKY_H_
#define OCTET_QUANT_CHOLESKY_H_

#include <cstdint>
#include <vector>

#include "base/parallel.h"

namespace octet {

// Replaces the symmetric positive definite `h` [n, n] by the upper triangular U with
// h^-1 = U^T U and a positive diagonal; zeros below it. False, leaving `h` undefined, when h is not
// positive definite in fp32. 2/3 n^3 multiply-adds; memory 1 KiB * n beside `h`.
//
// h^-1 is never formed: with J the reversal of rows and columns, J h J = L L^T gives U = J L^-1 J.
// fp32 in blocks of 128 rows, whose diagonal blocks are factored and inverted in fp64. The same
// bits for every number of threads.
bool InverseCholesky(int64_t n, std::vector<float>* h, ThreadPool* pool);

}  // namespace octet
#endif  // OCTET_QUANT_CHOLESKY_H_
