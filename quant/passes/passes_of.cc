#include <algorithm>

#include "quant/passes/passes.h"

namespace octet {

std::vector<Pass> PassesOf(const QuantPlan& p) {
  std::vector<Pass> passes = {SetChunkSize(p.chunk_size)};
  if (p.rotation != Rotation::kNone) {
    passes.push_back(Rotate(p.rotation, p.hadamard, p.migrate_gamma));
  }
  passes.push_back(EncodeSites(p.sites, p.full_score, p.running_state));
  passes.push_back(QuantizeWeights(p.weights, p.damping));
  if (p.ssd != SsdMode::kFloat) passes.push_back(UseInt8Ssd(p.ssd == SsdMode::kInt8GateQ7));
  passes.push_back(SetStateFormat(p.state));
  const auto gptq = [](const WeightRule& r) { return r.method == WeightMethod::kGptq; };
  if (p.mean_correction != "none" || std::ranges::any_of(p.weights, gptq)) {
    passes.push_back(RunAsDeployed(p.mean_correction));
  }
  return passes;
}

}  // namespace octet
