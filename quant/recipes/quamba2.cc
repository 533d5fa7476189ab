// Quamba2 (arXiv:2503.22879): on Mamba-2 heads are sorted and clustered, x has a scale per cluster,
// B and C one per SSM group, and weights have 8 or 4 bits; on Mamba-1 it is Quamba with 4-bit
// weights (methods_mamba 2.5 to 2.7).
#include "quant/recipes/recipes.h"

namespace octet {
namespace {

// The edges of the block of a Mamba-2 (methods_mamba 2.5.5).
void AddMamba2Sites(QuantPlan* p) {
  using enum Granularity;
  p->sites = {TensorSite("linear-inputs"),
              TensorSite("z"),
              TensorSite("dt_in"),
              {.sites = "xBC_in", .granularity = kSegment},
              {.sites = "x", .granularity = kCluster},
              {.sites = "B", .granularity = kGroup},
              {.sites = "C", .granularity = kGroup}};
}

QuantPlan PlanMamba2(const RecipeOptions& o) {
  QuantPlan p;
  p.rotation = Rotation::kFull;
  p.hadamard = o.String("hadamard");
  p.reorder_heads = true;
  AddMamba2Sites(&p);
  AddEnds(o, &p);
  p.weights.push_back(Int8Linears(WeightScale::kTensor));
  p.weights.push_back({.tensors = "in_proj", .bits = 8, .scale = WeightScale::kSegment});
  p.weights.push_back({.tensors = "conv1d.weight", .bits = 8, .scale = WeightScale::kSegment});
  AddInt8Vectors({"A_log", "D"}, &p);
  p.state = o.String("state");
  p.state_scales = StateLayout::kCluster;
  return p;
}

QuantPlan PlanMamba1(const RecipeOptions& o) {
  Json options = Json::MakeObject();
  options.Set("generation", "head");
  for (const char* name : {"hadamard", "state", "alpha"}) {
    options.Set(name, o.String(name));
  }
  QuantPlan p = PlanQuamba(*RecipeOptions::Parse(QuambaOptions(), options), Family::kMamba);
  AddEnds(o, &p);
  return p;
}

std::vector<RecipeOption> CommonOptions() {
  return {AlphaOption(), EndOption("embedding"), EndOption("head"), HadamardOption(),
          StateOption("i8s")};
}

}  // namespace

std::vector<RecipeOption> Quamba2W8a8Options() {
  return CommonOptions();
}

QuantPlan PlanQuamba2W8a8(const RecipeOptions& o, Family family) {
  return family == Family::kMamba2 ? PlanMamba2(o) : PlanMamba1(o);
}

std::vector<RecipeOption> Quamba2W4a8Options() {
  return With4Bits(CommonOptions());
}

QuantPlan PlanQuamba2W4a8(const RecipeOptions& o, Family family) {
  QuantPlan p = PlanQuamba2W8a8(o, family);
  // dt_proj stays in 8 bits: its 48 to 160 columns are less than, or no multiple of, a group.
  for (const char* matrix : {"in_proj", "x_proj", "out_proj"}) {
    WeightRule rule = Int4Linears(o, Int4Step::kAbsMax);
    rule.tensors = matrix;
    rule.optional = true;
    p.weights.push_back(rule);
  }
  return p;
}

std::vector<RecipeOption> Quamba2W4a16Options() {
  return With4Bits({EndOption("embedding"), EndOption("head"), HadamardOption(), StateOption()});
}

QuantPlan PlanQuamba2W4a16(const RecipeOptions& o, Family) {
  QuantPlan p;
  p.rotation = Rotation::kFull;
  p.hadamard = o.String("hadamard");
  AddEnds(o, &p);
  for (const char* matrix : {"in_proj", "x_proj", "out_proj"}) {
    WeightRule rule = Int4Linears(o, Int4Step::kAbsMax);
    rule.tensors = matrix;
    rule.optional = true;
    p.weights.push_back(rule);
  }
  p.state = o.String("state");
  return p;
}

}  // namespace octet
