// Codes of large matrices, made row by row: a mapped 16-bit table stays mapped, and what is
// allocated is the result and one fp32 row per thread.
#ifndef OCTET_QUANT_WEIGHT_CODES_H_
#define OCTET_QUANT_WEIGHT_CODES_H_

#include <cstdint>
#include <functional>
#include <span>

#include "base/parallel.h"
#include "tensor/weights.h"

namespace octet {

// Calls visit(r, row) once for each row of `w`, decoded to fp32, in any order and from several
// threads; `row` is valid during the call only.
void ForEachRow(const Weight& w, ThreadPool* pool,
                const std::function<void(int64_t r, std::span<const float> row)>& visit);

// int8 with a scale for each row, from its largest absolute value (docs/numerics.md): the
// embedding's W8 of methods_mamba 2.7, and linears per row. `w` is not quantized and has a row.
Weight EncodeRowsInt8(const Weight& w, ThreadPool* pool);

// Chooses the 4-bit codes of one row [columns]: a multiplier 1..127 for each group, a code 0..15
// for each column, and returns the row's scale of 12 significant bits, so that
// value = (code - 8) * multiplier * scale. Called from several threads at once.
using Int4RowEncoder = std::function<float(
    std::span<const float> row, std::span<uint8_t> multipliers, std::span<uint8_t> codes)>;

// int4 with a multiplier for each `group` columns (a multiple of 32, at most 64 groups to a row:
// the caller chooses it so). `w` is not quantized and has a row.
Weight EncodeRowsInt4(const Weight& w, int64_t group, const Int4RowEncoder& encode,
                      ThreadPool* pool);

}  // namespace octet
#endif  // OCTET_QUANT_WEIGHT_CODES_H_
