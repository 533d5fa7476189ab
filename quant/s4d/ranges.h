// The ranges of an S4D classifier's activations and states over calibration sequences.
#ifndef OCTET_QUANT_S4D_RANGES_H_
#define OCTET_QUANT_S4D_RANGES_H_

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/parallel.h"
#include "base/status.h"
#include "graph/graph.h"
#include "tensor/codecs/affine.h"
#include "tensor/weights.h"

namespace octet {

// By site, in the finest grain: "frames", "mean" (after the last frame) and each "layers.<i>.gelu"
// by channel; "layers.<i>.u", ".y_ssm" (y without D u) and ".y" by head; "layers.<i>.x" by (head,
// mode), [H, N], over real and imaginary parts.
using S4dRanges = std::map<std::string, std::vector<SeenRange>, std::less<>>;

// Whether the site is the input of a linear: "frames", "mean" or a "layers.<i>.gelu".
bool FeedsLinear(std::string_view site);
// "layers.<layer>.<what>", with u, y_ssm, y or x.
std::string S4dRangeSite(int layer, std::string_view what);

// The frames [T, width] of sequence i.
using SequenceSource = std::function<std::vector<float>(int64_t i)>;

// Runs the float model over sequences 0 .. count - 1. Independent of the number of threads.
Result<S4dRanges> ObserveS4d(const Graph& graph, const WeightMap& weights, int64_t count,
                             const SequenceSource& sequence, ThreadPool* pool);

}  // namespace octet
#endif  // OCTET_QUANT_S4D_RANGES_H_
