// Linear layers in int8 with a scale per weight row and per token; everything else in float. Needs
// no calibration (methods_mamba 2.1, w8a8-perchannel).
#include "quant/recipes/recipes.h"

namespace octet {

std::vector<RecipeOption> W8a8DynamicOptions() {
  return {StateOption()};
}

QuantPlan PlanW8a8Dynamic(const RecipeOptions& o, Family) {
  QuantPlan p;
  p.sites = {{.sites = "linear-inputs", .granularity = Granularity::kToken}};
  p.weights = {Int8Linears(WeightScale::kRow)};
  p.state = o.String("state");
  return p;
}

}  // namespace octet
