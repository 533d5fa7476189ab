// Linear layers in int8 with a scale per weight row and per token; everything else in float. Needs
// no calibration (methods_mamba 2.1, w8a8-perchannel).
#include "quant/passes/passes.h"
#include "quant/recipes/recipes.h"

namespace octet {

std::vector<RecipeOption> W8a8DynamicOptions() {
  return {StateOption()};
}

std::vector<Pass> PlanW8a8Dynamic(const RecipeOptions& o) {
  return {EncodeLinearInputsPerToken(), QuantizeLinearsInt8(/*per_row=*/true),
          SetStateFormat(o.String("state"))};
}

}  // namespace octet
