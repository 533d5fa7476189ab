// How far a quantized S4D classifier is from the float one.
#ifndef OCTET_QUANT_S4D_MEAN_KL_H_
#define OCTET_QUANT_S4D_MEAN_KL_H_

#include <cstdint>
#include <vector>

#include "base/parallel.h"
#include "base/status.h"
#include "graph/graph.h"
#include "quant/s4d/plan.h"
#include "quant/s4d/ranges.h"
#include "tensor/weights.h"

namespace octet {

// Of a sequence, a KL counts up to this many nats, as do logits that are not finite.
inline constexpr double kMostKl = 1000;

// Mean KL(float || quantized) of the classes after the last frame of sequences that it keeps, with
// the logits of the float model. What it was made of outlives it; one thread uses it at a time.
class S4dMeanKl {
 public:
  // Sequences 0 .. count - 1. kInvalidArgument without any; errors of running the model.
  static Result<S4dMeanKl> Create(const Graph& graph, const WeightMap& weights,
                                  const S4dRanges& ranges, int64_t count,
                                  const SequenceSource& sequence, ThreadPool* pool);

  // Nats of a plan, simulated (S4dSimulation, also for errors). The same for any number of threads.
  Result<double> Of(const S4dPlan& plan) const;
  int64_t count() const { return static_cast<int64_t>(frames_.size()); }

 private:
  S4dMeanKl(const Graph& graph, const WeightMap& weights, const S4dRanges& ranges, ThreadPool* pool)
      : graph_(graph), weights_(weights), ranges_(ranges), pool_(pool) {}
  Result<std::vector<std::vector<float>>> Logits(const S4dPlan& plan) const;

  const Graph& graph_;
  const WeightMap& weights_;
  const S4dRanges& ranges_;
  ThreadPool* pool_;
  std::vector<std::vector<float>> frames_, reference_;  // by sequence
};

}  // namespace octet
#endif  // OCTET_QUANT_S4D_MEAN_KL_H_
