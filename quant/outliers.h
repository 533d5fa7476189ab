// The same function with outlier channels, on which methods against outliers show what they do.
#ifndef OCTET_QUANT_OUTLIERS_H_
#define OCTET_QUANT_OUTLIERS_H_

#include <cstdint>

#include "base/status.h"
#include "graph/graph.h"
#include "tensor/weights.h"

namespace octet {

struct OutlierOptions {
  int64_t channels = 8;     // of every input that gets outliers, at most its width
  double max_factor = 100;  // >= 1
  uint64_t seed = 1;
};

// Large trained models have a few activation channels up to 100 times larger than the others; small
// models have none. For every linear of a block whose input a norm with a weight makes (in_proj of
// Mamba and Mamba-2, out_proj of Mamba-2), `channels` random channels c get factors f, log-uniform
// in [1, max_factor]: norm weight[c] *= f and column c of the matrix /= f, both as fp32. The float
// function stays, up to rounding. kInvalidArgument for options that do not fit or quantized
// weights; kUnsupported where another operation reads the norm.
Status AddOutliers(const OutlierOptions& options, const Graph& graph, WeightMap* weights);

}  // namespace octet
#endif  // OCTET_QUANT_OUTLIERS_H_
