// Quamba-SE: the scan reads x in a soft-edge code, three step sizes around Quamba's one scale
// (methods_edge 1); on Mamba-2 x, B and C, on top of Quamba2 (1.9).
#include "quant/recipes/recipes.h"

namespace octet {

std::vector<RecipeOption> QuambaSeOptions() {
  return {{"codec",
           "se8u",
           {"se9", "se8u", "uint8", "seg8", "int16", "int8", "float"},
           0,
           0,
           "what the scan reads: se9 as published, se8u the same in one byte, uint8 the fair "
           "baseline, seg8 segments of doubling steps"},
          {"generation", "q1", {"q1", "head"}, 0, 0, "rotations, as for quamba; Mamba-1 only"},
          AlphaOption(),
          HadamardOption(),
          StateOption("i8s")};
}

QuantPlan PlanQuambaSe(const RecipeOptions& o, Family family) {
  const std::string& codec = o.String("codec");
  Json options = Json::MakeObject();
  for (const char* name : {"hadamard", "state", "alpha"}) {
    options.Set(name, o.String(name));
  }
  if (family == Family::kMamba2) {
    QuantPlan p = PlanQuamba2W8a8(*RecipeOptions::Parse(Quamba2W8a8Options(), options), family);
    for (SiteRule& rule : p.sites) {
      if (rule.sites == "x" || rule.sites == "B" || rule.sites == "C") rule.codec = codec;
    }
    return p;
  }
  options.Set("generation", o.String("generation"));
  QuantPlan p = PlanQuamba(*RecipeOptions::Parse(QuambaOptions(), options), family);
  // x_proj takes int8 codes of the float convolution, not of what the scan reads: rounding twice
  // would bias them outwards (methods_edge 1.5).
  p.forks = {{"x_scan", "y", 0}, {"x_proj_in", "x_dbl", 0}};
  std::erase_if(p.sites, [](const SiteRule& r) { return r.sites == "x"; });
  const SiteRule x{.sites = "x_proj_in", .observer = ObserverKind::kPercentile};
  p.sites.push_back(x);
  p.sites.push_back(x);
  p.sites.back().sites = "x_scan";
  p.sites.back().codec = codec;
  SetAlpha(o, &p);
  // The step of seg8 doubles until its top code reaches the largest value: nothing is clipped.
  if (codec == "seg8") p.sites.back().observer = ObserverKind::kAbsMax;
  return p;
}

}  // namespace octet
