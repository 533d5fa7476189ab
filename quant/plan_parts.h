// A plan cut down to a part of the model, so that a reader sees what costs what.
#ifndef OCTET_QUANT_PLAN_PARTS_H_
#define OCTET_QUANT_PLAN_PARTS_H_

#include "quant/plan.h"

namespace octet {

// The plan without what it does to matrices: their inputs, the linears, the embedding and the head
// stay in float. What remains is everything between the linears: convolution, dt, x, B, C, z, the
// scan or the Ssd, its parameters and the recurrent state.
QuantPlan OnlySsm(QuantPlan plan);

// The plan without what it does between the linears: only matrices and their inputs are encoded.
// In a Mamba x and dt_low are inputs of linears and of the rest at once; they belong to both parts,
// unless a fork keeps the readers apart.
QuantPlan OnlyLinears(QuantPlan plan);

// Both keep what changes no function: rotations, smoothing, sorted heads, chunk length, and the
// mean correction, which corrects whatever error the part makes. For plans of the registered
// recipes and others that name their sites and tensors; a pattern counts by whether it matches a
// matrix.

// Whether the plan encodes anything: a weight-only plan has no SSM part.
bool QuantizesSomething(const QuantPlan& plan);

}  // namespace octet
#endif  // OCTET_QUANT_PLAN_PARTS_H_
