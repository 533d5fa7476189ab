// Which Hadamard matrix an order uses, and its exact form for offline use.
#ifndef OCTET_KERNELS_HADAMARD_SHAPE_H_
#define OCTET_KERNELS_HADAMARD_SHAPE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "kernels/hadamard.h"

namespace octet {

// The transform of n >= 1 channels. `kind`:
//   "auto"   one piece if n = k 2^m with k = 1, 12, 20, 28 or 36 (tried in this order), else
//   "block"; "block"  n / 2^m pieces of the largest 2^m that divides n; an odd n is left unchanged;
//   or a construction id from HadamardId: "sylvester" (k = 1), "paley1-12", "paley1-20",
//   "paley2-28", "paley2-36" or "paley1-20x2" (k = 40).
// Paley 1933; k is the slow index (methods_mamba 3). The factor tables live as long as the program.
// kInvalidArgument: an unknown kind, n < 1, or a construction that does not have order n.
Result<HadamardShape> MakeHadamardShape(int64_t n, std::string_view kind);

// The construction of a shape from MakeHadamardShape; with n it names the matrix for ever, so that
// it can be stored: MakeHadamardShape(s.n, HadamardId(s)) is s again.
std::string HadamardId(const HadamardShape& shape);

// v := H v / sqrt(k 2^m) for each row v of rows [n_rows, n], in double. Applied to the rows of a
// weight W it gives W H^T, the weight that expects a rotated input: (W H^T)(H v) = W v.
void HadamardRowsF64(const HadamardShape& shape, double* rows, int64_t n_rows);

// v := H^T v / sqrt(k 2^m): the inverse.
void HadamardTransposeRowsF64(const HadamardShape& shape, double* rows, int64_t n_rows);

}  // namespace octet
#endif  // OCTET_KERNELS_HADAMARD_SHAPE_H_
