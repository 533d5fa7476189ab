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

// int8 with one scale for the rows before each of `ends` (strictly ascending, the last is
// w.rows()), from their largest absolute value (docs/numerics.md). A single end gives a single
// scale, else each row has its own copy. `w` is not quantized and has a row.
Weight EncodeInt8(const Weight& w, std::span<const int64_t> ends, ThreadPool* pool);

// The same with a scale for each row: the embedding's W8 of methods_mamba 2.7, and linears per row.
Weight EncodeRowsInt8(const Weight& w, ThreadPool* pool);

}  // namespace octet
#endif  // OCTET_QUANT_WEIGHT_CODES_H_
