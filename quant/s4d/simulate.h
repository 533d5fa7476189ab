// An S4D classifier with quantized weights, activations and states, simulated in floats.
#ifndef OCTET_QUANT_S4D_SIMULATE_H_
#define OCTET_QUANT_S4D_SIMULATE_H_

#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "graph/graph.h"
#include "quant/s4d/plan.h"
#include "quant/s4d/ranges.h"
#include "tensor/weights.h"

namespace octet {

// Runs sequences from a zero state. Immutable and thread-safe.
//
// Of a step of head h, with Q the code of x and the coefficients quantized:
//   x' = Q(A x + B u)                y = Q_y(Q_s(Re sum C x') + D u)
// and, `published`: s = Q(A x) + Q(B u), x' = Q(s), y of s. u is quantized where it enters the
// layer, not on the residual path; the inputs of linears ("frames", "gelu", "mean") where they are
// produced; y without D u is cut off at +-1000 before its code. How x is rounded is in
// kernels/s4dcode.h.
class S4dSimulation {
 public:
  // `ranges` of the float model (ObserveS4d) serve the static codes. kInvalidArgument for a plan
  // that Check refuses, or a static code whose site `ranges` lacks.
  static Result<S4dSimulation> Create(const Graph& graph, const WeightMap& weights,
                                      const S4dPlan& plan, const S4dRanges& ranges);
  S4dSimulation(S4dSimulation&&) noexcept;
  ~S4dSimulation();

  // Logits after the last of `frames` [T, width].
  Result<std::vector<float>> Run(std::span<const float> frames) const;

 private:
  struct Impl;
  explicit S4dSimulation(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

}  // namespace octet
#endif  // OCTET_QUANT_S4D_SIMULATE_H_
