// The naive baseline: one static scale per tensor, every edge of the block in int8, no rotation
// (methods_mamba 2.1, 2.9).
#include "quant/passes/passes.h"
#include "quant/recipes/recipes.h"

namespace octet {

std::vector<RecipeOption> AbsmaxOptions() {
  return {StateOption()};
}

std::vector<Pass> PlanAbsmax(const RecipeOptions& o) {
  using enum SiteRule::Count;
  CalibrateOptions sites;
  sites.linear_inputs = true;
  for (const char* site : {"z", "dt_in", "x", "B", "C"}) {
    sites.rules.push_back({site, ScaleAxis::kTensor, kOne});
  }
  // The input of the convolution: of Mamba-2, of Mamba.
  for (const char* site : {"xBC_in", "x_in"}) {
    sites.rules.push_back({site, ScaleAxis::kTensor, kOne, /*optional=*/true});
  }
  return {Calibrate(sites), QuantizeLinearsInt8(/*per_row=*/false),
          QuantizeVectorsInt8({"mixer.A_log", "mixer.D", "mixer.conv1d.weight", "mixer.conv1d.bias",
                               "mixer.dt_proj.bias"}),
          SetStateFormat(o.String("state"))};
}

}  // namespace octet
