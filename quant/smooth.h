// SmoothQuant: moving the difficulty of outlier channels from a Linear's input to its weight.
#ifndef OCTET_QUANT_SMOOTH_H_
#define OCTET_QUANT_SMOOTH_H_

#include <span>
#include <vector>

#include "base/status.h"
#include "graph/graph.h"
#include "tensor/weights.h"

namespace octet {

// Factors f [K] with which input channel j is to be divided and column j of the weight multiplied:
// f_j = max|X_j|^alpha / max|W_j|^(1 - alpha) (Xiao et al. 2023; methods_mamba 2.1). 1 where either
// maximum is zero. `input_absmax`: max|X_j| [K], finite, as an absmax observer with a scale for
// each channel sees it; `w` [rows, K]; 0 <= alpha <= 1, the paper's default is 0.5.
// kInvalidArgument for sizes or an alpha that do not fit, kCorrupt for values that are not finite.
Result<std::vector<float>> SmoothFactors(std::span<const float> input_absmax, const Weight& w,
                                         double alpha);

// Folds `factors`, finite and positive, into the Linear node `linear` and the norm that feeds it:
// weight columns times f_j, norm weight divided by f_j, both as fp32. The function of the model
// stays, up to rounding. All or nothing.
// The input must come straight from an RmsNorm or GatedRmsNorm with a weight, which nothing else
// reads: in_proj of Mamba and Mamba-2, out_proj of Mamba-2. kUnsupported otherwise, as for out_proj
// and x_proj of Mamba, or after rotation. kInvalidArgument for quantized weights, an input that is
// encoded already, or factors that do not fit.
Status FoldSmoothing(const Graph& graph, ValueId linear, std::span<const float> factors,
                     WeightMap* weights);

}  // namespace octet
#endif  // OCTET_QUANT_SMOOTH_H_
