#include <algorithm>

#include "quant/passes/passes.h"

namespace octet {

std::vector<Pass> PassesOf(const QuantPlan& p) {
  std::vector<Pass> passes = {SetChunkSize(p.chunk_size)};
  if (!p.forks.empty()) passes.push_back(ForkSites(p.forks));
  if (p.rotation == Rotation::kFull) passes.push_back(RotateResidual(p.hadamard));
  if (p.smooth > 0) passes.push_back(Smooth(p.smooth));
  if (p.reorder_heads) passes.push_back(SortAndClusterHeads());
  if (p.rotation != Rotation::kNone) {
    passes.push_back(RotateOutput(p.hadamard, p.rotation == Rotation::kFull && p.migrate_gamma));
  }
  passes.push_back(EncodeSites(p.sites, {p.full_score, p.running_state, p.mean_correction != "none",
                                         p.rotation != Rotation::kNone}));
  passes.push_back(SetStateFormat({p.state, p.state_scales, p.state_observer, p.state_alpha}));
  passes.push_back(QuantizeWeights(p.weights, p.damping));
  if (p.ssd != SsdMode::kFloat) passes.push_back(UseInt8Ssd(p.ssd == SsdMode::kInt8GateQ7));
  const auto gptq = [](const WeightRule& r) { return r.method == WeightMethod::kGptq; };
  if (p.mean_correction != "none" || std::ranges::any_of(p.weights, gptq)) {
    passes.push_back(RunAsDeployed(p.mean_correction));
  }
  return passes;
}

}  // namespace octet
