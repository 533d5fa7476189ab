#include "quant/s4d/mean_kl.h"

#include <algorithm>
#include <utility>

#include "base/logits.h"
#include "quant/s4d/simulate.h"

namespace octet {

Result<S4dMeanKl> S4dMeanKl::Create(const Graph& graph, const WeightMap& weights,
                                    const S4dRanges& ranges, int64_t count,
                                    const SequenceSource& sequence, ThreadPool* pool) {
  if (count < 1) return InvalidArgument("there is no sequence to measure KL on");
  S4dMeanKl kl(graph, weights, ranges, pool);
  for (int64_t i = 0; i < count; ++i) {
    kl.frames_.push_back(sequence(i));
  }
  OCTET_ASSIGN(kl.reference_, kl.Logits({}));
  return kl;
}

Result<std::vector<std::vector<float>>> S4dMeanKl::Logits(const S4dPlan& plan) const {
  OCTET_ASSIGN(const S4dSimulation simulation,
               S4dSimulation::Create(graph_, weights_, plan, ranges_));
  std::vector<std::vector<float>> logits(frames_.size());
  std::vector<Status> statuses(frames_.size());
  pool_->For(count(), [&](int64_t task, int) {
    const auto i = static_cast<size_t>(task);
    Result<std::vector<float>> row = simulation.Run(frames_[i]);
    statuses[i] = row.status();
    if (row.ok()) logits[i] = *std::move(row);
  });
  for (const Status& s : statuses) {
    OCTET_TRY(s);
  }
  return logits;
}

Result<double> S4dMeanKl::Of(const S4dPlan& plan) const {
  OCTET_ASSIGN(const auto logits, Logits(plan));
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double kl = KlDivergence(reference_[i], logits[i]);
    sum += kl < kMostKl ? std::max(kl, 0.0) : kMostKl;
  }
  return sum / static_cast<double>(logits.size());
}

}  // namespace octet
