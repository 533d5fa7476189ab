// How an S4D classifier is quantized, as its folder says it.
#ifndef OCTET_QUANT_S4D_QUANTIZED_H_
#define OCTET_QUANT_S4D_QUANTIZED_H_

#include "base/json.h"
#include "base/status.h"
#include "graph/graph.h"
#include "quant/s4d/plan.h"
#include "quant/s4d/ranges.h"

namespace octet {

// The weights of its folder are those of the float model, or what quantization-aware training made
// of them: all codes follow from weights, plan and ranges.
struct S4dQuantization {
  S4dPlan plan;
  S4dRanges ranges;  // of the model that was calibrated; empty where nothing is static
  friend bool operator==(const S4dQuantization&, const S4dQuantization&) = default;
};

// "quantization_config": quant_method (kS4dQuantMethod), plan (ToJson of plan.h) and ranges, an
// object of arrays of [low, high] by site.
Json ToJson(const S4dQuantization& q);

// kInvalidArgument, naming the member, for anything that ToJson does not write, plans that Check
// refuses for `graph`, and ranges of sites that the graph does not have, with the wrong number of
// values, not finite, or the wrong way round.
Result<S4dQuantization> ParseS4dQuantization(const Json& j, const Graph& graph);

}  // namespace octet
#endif  // OCTET_QUANT_S4D_QUANTIZED_H_
