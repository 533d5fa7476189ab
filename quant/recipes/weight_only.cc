// Weight-only recipes: codes for the matrices, everything else in float (methods_mamba 2.1, 2.10).
#include "quant/recipes/recipes.h"

namespace octet {

std::vector<RecipeOption> W8a16Options() {
  return {EndOption("embedding"), EndOption("head"), StateOption()};
}

QuantPlan PlanW8a16(const RecipeOptions& o, Family) {
  QuantPlan p;
  AddEnds(o, &p);
  p.weights.push_back(Int8Linears(WeightScale::kRow));
  p.state = o.String("state");
  return p;
}

std::vector<RecipeOption> W4a16Options() {
  return {GroupOption(),     WeightMethodOption("gptq"), EndOption("embedding"),
          EndOption("head"), HadamardOption(),           StateOption()};
}

QuantPlan PlanW4a16(const RecipeOptions& o, Family) {
  QuantPlan p;
  p.rotation = Rotation::kFull;
  p.hadamard = o.String("hadamard");
  AddEnds(o, &p);
  p.weights.push_back(Int4Linears(o, Int4Step::kLeastSquares));
  p.state = o.String("state");
  return p;
}

}  // namespace octet
