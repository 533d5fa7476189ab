// SSDi8 with the improvements of methods_mamba 2.8.5: state scales that cover carried states, score
// scales from the causal half, state passing in fp32, a scale per weight row, 4-bit steps by least
// squares, short chunks, and a mean correction weighed by its uncertainty.
//
// By default the scales inside the SSD are made per chunk at run time: x_scaled and state keep
// their (head, head_dim) axis and score its group, so the integer dot products stay legal, the cost
// is one maximum per operand, and rare tokens whose dt x is far above anything in the calibration
// text no longer saturate into a long-lived state (docs/results/accuracy.md has the measurement).
#include "quant/passes/passes.h"
#include "quant/recipes/recipes.h"

namespace octet {
namespace {

std::vector<RecipeOption> CommonOptions() {
  return {
      {"inner_scales",
       "chunk",
       {"chunk", "static"},
       0,
       0,
       "scales of X, scores and states inside the SSD: made per chunk at run time, or calibrated"},
      ChunkSizeOption(64),
      MeanCorrectionOption("auto"),
      HadamardOption(),
      StateOption()};
}

std::vector<Pass> Plan(const RecipeOptions& o, Pass weights) {
  const bool per_chunk = o.String("inner_scales") == "chunk";
  CalibrateOptions sites;
  sites.rules = Ssdi8Sites();
  sites.running_state = true;
  if (per_chunk) {
    std::erase_if(sites.rules, [](const SiteRule& r) { return r.site.starts_with("ssd."); });
  }
  std::vector<Pass> passes = {SetChunkSize(o.Int("chunk_size")),
                              Rotate({o.String("hadamard"), true}), Calibrate(sites),
                              StoreEmbeddingsF16(), std::move(weights)};
  if (per_chunk) passes.push_back(EncodeInnerSitesPerChunk());
  passes.push_back(UseInt8Ssd(/*gate_q7=*/false));
  passes.push_back(SetStateFormat(o.String("state")));
  passes.push_back(MeanCorrectionPass(o));
  return passes;
}

}  // namespace

std::vector<RecipeOption> Ssdi8PlusW8a8Options() {
  return CommonOptions();
}

std::vector<RecipeOption> Ssdi8PlusW4a8Options() {
  std::vector<RecipeOption> options = CommonOptions();
  options.push_back(GroupOption());
  return options;
}

std::vector<Pass> PlanSsdi8PlusW8a8(const RecipeOptions& o) {
  return Plan(o, QuantizeLinearsInt8(/*per_row=*/true));
}

std::vector<Pass> PlanSsdi8PlusW4a8(const RecipeOptions& o) {
  return Plan(o, QuantizeLinearsInt4Rtn(o.Int("group"), Int4Step::kLeastSquares));
}

}  // namespace octet
