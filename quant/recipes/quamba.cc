// Quamba (arXiv:2410.13229): static per-tensor W8A8 of Mamba-1, with a percentile for the input of
// the scan, a Hadamard transform of its output, and an int8 state (methods_mamba 2.4).
#include "quant/recipes/recipes.h"

namespace octet {

std::vector<RecipeOption> QuambaOptions() {
  return {{"generation",
           "head",
           {"q1", "head"},
           0,
           0,
           "q1: only the output of the scan is rotated, as in the paper; head: the residual stream "
           "as well, as in the later release"},
          AlphaOption(),
          HadamardOption(),
          EndOption("embedding"),
          EndOption("head"),
          StateOption("i8s")};
}

QuantPlan PlanQuamba(const RecipeOptions& o, Family) {
  QuantPlan p;
  const bool full = o.String("generation") == "head";
  p.rotation = full ? Rotation::kFull : Rotation::kOutput;
  p.hadamard = o.String("hadamard");
  p.sites = {TensorSite("linear-inputs"), TensorSite("xz"), TensorSite("x_dbl"),
             TensorSite("dt_in")};
  // dt_low, B and C are codes of x_dbl, but for FalconMamba, which has norms between.
  for (const char* part : {"dt_low", "B", "C"}) {
    p.sites.push_back({.sites = part, .same_as = "x_dbl"});
  }
  p.sites.push_back({.sites = "x", .observer = ObserverKind::kPercentile});
  p.weights.push_back(Int8Linears(WeightScale::kTensor));
  AddInt8Vectors({"A_log", "D", "conv1d.weight", "conv1d.bias", "dt_proj.bias"}, &p);
  if (full || o.String("embedding") != "f16" || o.String("head") != "f16") AddEnds(o, &p);
  p.state = o.String("state");
  p.state_scales = StateLayout::kTensor;
  p.state_observer = ObserverKind::kPercentile;
  SetAlpha(o, &p);
  return p;
}

}  // namespace octet
