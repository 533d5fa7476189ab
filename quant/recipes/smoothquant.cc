// SmoothQuant (Xiao et al. 2023) as a baseline: absmax with the difficulty of outlier channels
// moved from the inputs of linears to their weights (methods_mamba 2.1).
#include "quant/recipes/recipes.h"

namespace octet {

std::vector<RecipeOption> SmoothquantOptions() {
  return {{"alpha", 0.5, {}, 0.05, 1, "migration strength: how much difficulty moves to weights"},
          StateOption()};
}

QuantPlan PlanSmoothquant(const RecipeOptions& o, Family family) {
  QuantPlan p = PlanAbsmax(o, family);
  p.smooth = o.Double("alpha");
  return p;
}

}  // namespace octet
