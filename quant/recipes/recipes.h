// One plan and option list per file in this folder; the table is registry.cc.
#ifndef OCTET_QUANT_RECIPES_RECIPES_H_
#define OCTET_QUANT_RECIPES_RECIPES_H_

#include <string>
#include <vector>

#include "quant/recipe.h"

namespace octet {

std::vector<RecipeOption> AbsmaxOptions();
QuantPlan PlanAbsmax(const RecipeOptions& options);

std::vector<RecipeOption> W8a8DynamicOptions();
QuantPlan PlanW8a8Dynamic(const RecipeOptions& options);

std::vector<RecipeOption> HadQ1Options();
QuantPlan PlanHadQ1(const RecipeOptions& options);
std::vector<RecipeOption> HadS8Options();
QuantPlan PlanHadS8(const RecipeOptions& options);

std::vector<RecipeOption> Ssdi8W8a8Options();
std::vector<RecipeOption> Ssdi8W4a8Options();
QuantPlan PlanSsdi8W8a8(const RecipeOptions& options);
QuantPlan PlanSsdi8W4a8(const RecipeOptions& options);

std::vector<RecipeOption> Ssdi8PlusW8a8Options();
std::vector<RecipeOption> Ssdi8PlusW4a8Options();
QuantPlan PlanSsdi8PlusW8a8(const RecipeOptions& options);
QuantPlan PlanSsdi8PlusW4a8(const RecipeOptions& options);

// Options that several recipes share.
RecipeOption StateOption(const char* fallback = "f32");
RecipeOption HadamardOption();
RecipeOption GroupOption();
RecipeOption WeightMethodOption(const char* fallback);
RecipeOption ChunkSizeOption(int64_t fallback);
RecipeOption MeanCorrectionOption(const char* fallback);

// Every matrix of a block in 4 bits, as the options group and weight_method say.
WeightRule Int4Linears(const RecipeOptions& options, Int4Step step);
// Every matrix of a block in 8 bits.
WeightRule Int8Linears(WeightScale scale);
// Small tensors with one int8 scale each, those that the family has.
void AddInt8Vectors(const std::vector<std::string>& names, QuantPlan* plan);
// Embedding and head in fp16: they are two matrices once the residual stream is rotated.
void AddF16Ends(QuantPlan* plan);
// A static scale per tensor by absmax, or per token.
SiteRule TensorSite(const std::string& site, bool optional = false);

// The inner sites and inputs of an int8 Ssd (methods_mamba 2.8.3).
std::vector<SiteRule> Ssdi8Sites();

}  // namespace octet
#endif  // OCTET_QUANT_RECIPES_RECIPES_H_
