// SSDi8 with the improvements of methods_mamba 2.8.5: state scales that cover carried states, score
// scales from the causal half, state passing in fp32, a scale per weight row, 4-bit steps by least
// squares, short chunks, and a mean correction weighed by its uncertainty.
//
// By default the scales inside the SSD are made per chunk at run time: x_scaled and state keep
// their (head, head_dim) axis and score its group, so the integer dot products stay legal, the cost
// is one maximum per operand, and rare tokens whose dt x is far above anything in the calibration
// text no longer saturate into a long-lived state (docs/results/accuracy.md has the measurement).
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
      XScaledCodecOption(),
      HadamardOption(),
      EndOption("embedding"),
      EndOption("head"),
      StateOption()};
}

QuantPlan Plan(const RecipeOptions& o, const WeightRule& linears) {
  QuantPlan p;
  p.chunk_size = o.Int("chunk_size");
  p.rotation = Rotation::kFull;
  p.hadamard = o.String("hadamard");
  p.ssd = SsdMode::kInt8;
  p.running_state = true;
  p.sites = Ssdi8Sites(o);
  if (o.String("inner_scales") == "chunk") {
    for (SiteRule& rule : p.sites) {
      if (rule.sites.starts_with("ssd.")) rule.granularity = Granularity::kChunk;
    }
  }
  AddEnds(o, &p);
  p.weights.push_back(linears);
  p.state = o.String("state");
  p.mean_correction = o.String("mean_correction");
  return p;
}

}  // namespace

std::vector<RecipeOption> Ssdi8PlusW8a8Options() {
  return CommonOptions();
}

std::vector<RecipeOption> Ssdi8PlusW4a8Options() {
  return With4Bits(CommonOptions());
}

QuantPlan PlanSsdi8PlusW8a8(const RecipeOptions& o, Family) {
  return Plan(o, Int8Linears(WeightScale::kRow));
}

QuantPlan PlanSsdi8PlusW4a8(const RecipeOptions& o, Family) {
  return Plan(o, Int4Linears(o, Int4Step::kLeastSquares));
}

}  // namespace octet
