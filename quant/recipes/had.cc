// The two methods that go by the name HAD (methods_mamba 2.3): Quamba 1's, an online Hadamard
// before out_proj on top of absmax; and the SSDi8 paper's, with the residual stream rotated as
// well.
#include "quant/recipes/recipes.h"

namespace octet {

std::vector<RecipeOption> HadQ1Options() {
  return {HadamardOption(), EndOption("embedding"), EndOption("head"), StateOption()};
}

QuantPlan PlanHadQ1(const RecipeOptions& o, Family family) {
  QuantPlan p = PlanAbsmax(o, family);
  p.rotation = Rotation::kOutput;
  p.hadamard = o.String("hadamard");
  return p;
}

std::vector<RecipeOption> HadS8Options() {
  return {
      {"ssd", "int8", {"int8", "float"}, 0, 0, "whether x, B and C are int8 per tensor as well"},
      {"weights", "w8", {"w8", "w4"}, 0, 0, "bits of the matrices"},
      GroupOption(),
      WeightMethodOption("gptq"),
      HadamardOption(),
      EndOption("embedding"),
      EndOption("head"),
      StateOption()};
}

QuantPlan PlanHadS8(const RecipeOptions& o, Family) {
  QuantPlan p;
  p.rotation = Rotation::kFull;
  p.hadamard = o.String("hadamard");
  p.sites.push_back(TensorSite("linear-inputs"));
  if (o.String("ssd") == "int8") {
    for (const char* site : {"x", "B", "C"}) {
      p.sites.push_back(TensorSite(site));
    }
  }
  AddEnds(o, &p);
  p.weights.push_back(o.String("weights") == "w8" ? Int8Linears(WeightScale::kTensor)
                                                  : Int4Linears(o, Int4Step::kAbsMax));
  p.state = o.String("state");
  return p;
}

}  // namespace octet
