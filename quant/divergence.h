// How far one prediction departs from another.
#ifndef OCTET_QUANT_DIVERGENCE_H_
#define OCTET_QUANT_DIVERGENCE_H_

#include <cstdint>

namespace octet {

// KL(softmax(reference) || softmax(candidate)) of two rows of `vocab` logits, in nats and double.
double RowKl(const float* reference, const float* candidate, int64_t vocab);

}  // namespace octet
#endif  // OCTET_QUANT_DIVERGENCE_H_
