// Choosing the percentile of clipping observers by what the model then makes of text.
#ifndef OCTET_QUANT_SWEEP_H_
#define OCTET_QUANT_SWEEP_H_

#include "quant/recipe.h"

namespace octet {

// The plan with alpha of all its percentile rules set to that of {1, 0.99999, 0.9999, 0.9995,
// 0.999} whose model has the lowest perplexity on the calibration text (methods_mamba 2.4); ties go
// to the larger. Quantizes and runs the model once for each, on at most 32 of the documents. Errors
// as Quantize.
Result<QuantPlan> SweepAlpha(const QuantPlan& plan, const Graph& graph, const WeightMap& weights,
                             const TokenDataset& data, ThreadPool* pool, const Progress& progress);

}  // namespace octet
#endif  // OCTET_QUANT_SWEEP_H_
