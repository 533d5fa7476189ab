// GPTQ: rounding the columns of a weight one after the other, each correcting the error of those
// before it on the inputs that calibration saw.
#ifndef OCTET_QUANT_GPTQ_H_
#define OCTET_QUANT_GPTQ_H_

#include <cstdint>

#include "base/parallel.h"
#include "base/status.h"
#include "quant/hessian.h"
#include "quant/int4_grid.h"
#include "tensor/weights.h"

namespace octet {

struct GptqOptions {
  int64_t group = 128;  // columns per multiplier, a multiple of 32
  Int4Step step = Int4Step::kLeastSquares;
  double damping = 0.01;  // lambda, relative to the mean of diag(H); 0 .. 1
};

// `w` [rows, K] on the 4-bit grid of Int4Builder, with the codes that GPTQ chooses for inputs of
// Hessian `h` (Frantar et al. 2022; methods_mamba 2.6): with U upper triangular, H^-1 = U^T U, for
// each column j
//     q_j = Q(w_j),  e = (w_j - q_j) / U_jj,  w_k -= e U_jk for k > j.
// Columns are taken in their order (no activation ordering). The multiplier of a group is chosen
// when its first column is reached, from the columns as corrected until then; the row's base comes
// from the uncorrected row with room for steps twice as large, and beyond that codes saturate,
// which the columns that follow correct. Columns whose input was always zero get the code of zero.
// lambda is added to the diagonal; where fp32 still finds H + lambda indefinite, lambda grows
// tenfold, three times at most.
//
// Memory beside `w` and `h`: 4 K^2 + 8 rows K bytes. Work: (rows + 2/3 K) K^2 multiply-adds. The
// same bytes for every number of threads.
// Errors: kInvalidArgument for a quantized `w`, sizes that do not fit, an option out of range, an
// empty Hessian or one that stays indefinite; kCorrupt for values that are not finite.
Result<Weight> GptqInt4(const Weight& w, const Hessian& h, const GptqOptions& options,
                        ThreadPool* pool);

}  // namespace octet
#endif  // OCTET_QUANT_GPTQ_H_
