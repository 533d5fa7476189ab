// The bytes of an exported S4D classifier by the tensors of its plan.
#ifndef OCTET_EDGE_STORED_SIZES_H_
#define OCTET_EDGE_STORED_SIZES_H_

#include "base/status.h"
#include "edge/integer_s4d.h"
#include "quant/s4d/sizes.h"

namespace octet {

// What WriteC stores: const tables and the context of a stream, without code and stack. Whatever
// their widths, A (all of it under the radius) takes 5 bytes for a mode, B 3 and C 4, or 8, 8 and 4
// in a layer that cannot be packed (edge/lower_modes.h); states one byte or
// two; linears a byte or, up to 4 bits, half of one; y the table of GELU, 2^bits for each head or
// for all. The other activations take nothing that depends on their width. Factors, biases, zero
// points, norms, sums, the counter of frames and padding, up to 7 bytes after the states, are the
// rest.
// The total is SizesOf's tables() + context.
S4dSizes StoredSizes(const IntegerS4d& model);

}  // namespace octet
#endif  // OCTET_EDGE_STORED_SIZES_H_
