// Hadamard rotations with static per-tensor int8 linears; the SSD stays in float, or gets
// per-tensor int8 inputs with ssd=int8 (methods_mamba 2.2, 2.3).
#include "quant/passes/passes.h"
#include "quant/recipes/recipes.h"

namespace octet {

std::vector<RecipeOption> HadOptions() {
  return {
      {"ssd", "float", {"float", "int8"}, 0, 0, "whether x, B and C are int8 per tensor as well"},
      HadamardOption(),
      StateOption()};
}

std::vector<Pass> PlanHad(const RecipeOptions& o) {
  using enum SiteRule::Count;
  CalibrateOptions sites;
  sites.linear_inputs = true;
  if (o.String("ssd") == "int8") {
    for (const char* site : {"x", "B", "C"}) {
      sites.rules.push_back({site, ScaleAxis::kTensor, kOne});
    }
  }
  return {Rotate({o.String("hadamard"), true}), Calibrate(sites), StoreEmbeddingsF16(),
          QuantizeLinearsInt8(/*per_row=*/false), SetStateFormat(o.String("state"))};
}

}  // namespace octet
