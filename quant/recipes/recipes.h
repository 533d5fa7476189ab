// One plan and option list per file in this folder; the table is registry.cc.
#ifndef OCTET_QUANT_RECIPES_RECIPES_H_
#define OCTET_QUANT_RECIPES_RECIPES_H_

#include <string>
#include <vector>

#include "quant/recipe.h"

namespace octet {

#define OCTET_RECIPE(Name)                   \
  std::vector<RecipeOption> Name##Options(); \
  QuantPlan Plan##Name(const RecipeOptions& options, Family family);
OCTET_RECIPE(Absmax)
OCTET_RECIPE(W8a8Dynamic)
OCTET_RECIPE(W8a16)
OCTET_RECIPE(W4a16)
OCTET_RECIPE(Smoothquant)
OCTET_RECIPE(HadQ1)
OCTET_RECIPE(HadS8)
OCTET_RECIPE(Quamba)
OCTET_RECIPE(QuambaSe)
OCTET_RECIPE(Quamba2W8a8)
OCTET_RECIPE(Quamba2W4a8)
OCTET_RECIPE(Quamba2W4a16)
OCTET_RECIPE(Ssdi8W8a8)
OCTET_RECIPE(Ssdi8W4a8)
OCTET_RECIPE(Ssdi8PlusW8a8)
OCTET_RECIPE(Ssdi8PlusW4a8)
#undef OCTET_RECIPE

// Options that several recipes share.
RecipeOption StateOption(const char* fallback = "f32");
RecipeOption HadamardOption();
RecipeOption GroupOption();
RecipeOption WeightMethodOption(const char* fallback);
// Those of a recipe with 8-bit matrices, and what 4 bits add.
std::vector<RecipeOption> With4Bits(std::vector<RecipeOption> options);
RecipeOption ChunkSizeOption(int64_t fallback);
RecipeOption MeanCorrectionOption(const char* fallback);
RecipeOption AlphaOption();
RecipeOption XScaledCodecOption();
// "embedding" or "head".
RecipeOption EndOption(const char* name);

// Every matrix of a block in 4 bits, as the options group and weight_method say.
WeightRule Int4Linears(const RecipeOptions& options, Int4Step step);
// Every matrix of a block in 8 bits.
WeightRule Int8Linears(WeightScale scale);
// Small tensors with one int8 scale each, those that the family has.
void AddInt8Vectors(const std::vector<std::string>& names, QuantPlan* plan);
// Embedding and head as the options of those names say. They are two matrices once the residual
// stream is rotated.
void AddEnds(const RecipeOptions& options, QuantPlan* plan);
// A static scale per tensor by absmax.
SiteRule TensorSite(const std::string& site, bool optional = false);
// The option alpha for every percentile of the plan.
void SetAlpha(const RecipeOptions& options, QuantPlan* plan);

// The inner sites and inputs of an int8 Ssd (methods_mamba 2.8.3), X_s in the code that the option
// x_scaled_codec names.
std::vector<SiteRule> Ssdi8Sites(const RecipeOptions& options);

}  // namespace octet
#endif  // OCTET_QUANT_RECIPES_RECIPES_H_
