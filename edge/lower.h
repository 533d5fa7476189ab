// From a quantized S4D classifier in floats to one in integers.
#ifndef OCTET_EDGE_LOWER_H_
#define OCTET_EDGE_LOWER_H_

#include "base/status.h"
#include "edge/integer_s4d.h"
#include "graph/graph.h"
#include "quant/s4d/plan.h"
#include "quant/s4d/ranges.h"
#include "tensor/weights.h"

namespace octet {

// Takes what S4dSimulation::Create takes: a float model, how it is quantized, and the ranges of its
// activations and states. The codes of weights, activations and states are those of the simulation;
// A, B, C and D, whatever their codes, are decoded, scaled by those of u, x and y in double, and
// rounded to integers of 15 bits or more, B of 10 in each mode. Activations that the simulation
// keeps in float, z and the residual stream, have 20 bits or more. The scale of the stream follows
// from the largest values that any frames could give it, so that it never overflows.
//
// A tensor or site in which calibration has seen nothing but zeros has no scale: it counts as 0,
// where the simulation lets its values through.
//
// kUnsupported for what edge/sites.h refuses, and for any other graph than encoder, blocks of S4d,
// GELU, linear, GLU, sum and perhaps a LayerNorm, mean, decoder. kInvalidArgument, with site, head,
// mode and the numbers, where integers could overflow.
Result<IntegerS4d> LowerS4d(const Graph& graph, const WeightMap& weights, const S4dPlan& plan,
                            const S4dRanges& ranges);

}  // namespace octet
#endif  // OCTET_EDGE_LOWER_H_
