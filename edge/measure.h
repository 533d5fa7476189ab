// How far the values of an integer S4D classifier are from those of its float model, tensor by
// tensor.
#ifndef OCTET_EDGE_MEASURE_H_
#define OCTET_EDGE_MEASURE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "edge/integer_s4d.h"
#include "graph/graph.h"
#include "quant/s4d/plan.h"
#include "quant/s4d/ranges.h"
#include "tensor/weights.h"

namespace octet {

struct SiteError {
  std::string site;
  int64_t values = 0;
  int64_t cut = 0;               // of the values: beyond the codes, cut off
  double signal = 0, noise = 0;  // sums of squares: of the float model, and of the difference to it

  // 10 log10(signal / noise); infinite where they are equal.
  double sqnr() const;
};

// Runs `integers`, which is LowerS4d of the others, and the float model over sequences 0 ..
// count - 1, each from a zero state: what one computed against what the other did, the errors of
// earlier layers included. In the order of the model: "frames"; of each layer ".u", ".x" (real and
// imaginary parts), ".y_ssm" where it has codes, ".y" and ".gelu"; "mean" and "logits" after the
// last frame. Nothing of "logits" is cut off. kInvalidArgument for a sequence that is not whole
// frames.
Result<std::vector<SiteError>> MeasureSites(const Graph& graph, const WeightMap& weights,
                                            const S4dPlan& plan, const S4dRanges& ranges,
                                            const IntegerS4d& integers, int64_t count,
                                            const SequenceSource& sequence);

}  // namespace octet
#endif  // OCTET_EDGE_MEASURE_H_
