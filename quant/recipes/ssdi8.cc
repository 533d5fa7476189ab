// SSDi8 as published: rotation, static int8 activations, and int8 through the SSD stages with the
// decay carried by X (methods_mamba 2.8.2 to 2.8.4).
#include "quant/recipes/recipes.h"

namespace octet {
namespace {

std::vector<RecipeOption> CommonOptions() {
  return {ChunkSizeOption(0), MeanCorrectionOption("0.15"), XScaledCodecOption(),
          HadamardOption(),   EndOption("embedding"),       EndOption("head"),
          StateOption()};
}

QuantPlan Plan(const RecipeOptions& o, const WeightRule& linears) {
  QuantPlan p;
  p.chunk_size = o.Int("chunk_size");
  p.rotation = Rotation::kFull;
  p.hadamard = o.String("hadamard");
  p.ssd = SsdMode::kInt8GateQ7;
  p.full_score = true;
  p.sites = Ssdi8Sites(o);
  AddEnds(o, &p);
  p.weights.push_back(linears);
  AddInt8Vectors({"A_log", "D"}, &p);
  p.state = o.String("state");
  p.mean_correction = o.String("mean_correction");
  return p;
}

}  // namespace

std::vector<RecipeOption> Ssdi8W8a8Options() {
  return CommonOptions();
}

std::vector<RecipeOption> Ssdi8W4a8Options() {
  return With4Bits(CommonOptions());
}

QuantPlan PlanSsdi8W8a8(const RecipeOptions& o, Family) {
  return Plan(o, Int8Linears(WeightScale::kTensor));
}

QuantPlan PlanSsdi8W4a8(const RecipeOptions& o, Family) {
  return Plan(o, Int4Linears(o, Int4Step::kAbsMax));
}

}  // namespace octet
