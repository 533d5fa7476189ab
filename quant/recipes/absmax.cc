// The naive baseline: one static scale per tensor, every edge of the block in int8, no rotation
// (methods_mamba 2.1, 2.9).
#include "quant/recipes/recipes.h"

namespace octet {

std::vector<RecipeOption> AbsmaxOptions() {
  return {StateOption()};
}

QuantPlan PlanAbsmax(const RecipeOptions& o, Family) {
  QuantPlan p;
  p.sites.push_back(TensorSite("linear-inputs"));
  for (const char* site : {"z", "dt_in", "x", "B", "C"}) {
    p.sites.push_back(TensorSite(site));
  }
  // The input of the convolution: of Mamba-2, of Mamba.
  for (const char* site : {"xBC_in", "x_in"}) {
    p.sites.push_back(TensorSite(site, /*optional=*/true));
  }
  p.weights.push_back(Int8Linears(WeightScale::kTensor));
  AddInt8Vectors({"A_log", "D", "conv1d.weight", "conv1d.bias", "dt_proj.bias"}, &p);
  p.state = o.String("state");
  return p;
}

}  // namespace octet
