// One plan and option list per file in this folder; the table is registry.cc.
#ifndef OCTET_QUANT_RECIPES_RECIPES_H_
#define OCTET_QUANT_RECIPES_RECIPES_H_

#include <vector>

#include "quant/passes/passes.h"
#include "quant/recipe.h"

namespace octet {

std::vector<RecipeOption> AbsmaxOptions();
std::vector<Pass> PlanAbsmax(const RecipeOptions& options);

std::vector<RecipeOption> W8a8DynamicOptions();
std::vector<Pass> PlanW8a8Dynamic(const RecipeOptions& options);

std::vector<RecipeOption> HadOptions();
std::vector<Pass> PlanHad(const RecipeOptions& options);

std::vector<RecipeOption> Ssdi8W8a8Options();
std::vector<RecipeOption> Ssdi8W4a8Options();
std::vector<Pass> PlanSsdi8W8a8(const RecipeOptions& options);
std::vector<Pass> PlanSsdi8W4a8(const RecipeOptions& options);

std::vector<RecipeOption> Ssdi8PlusW8a8Options();
std::vector<RecipeOption> Ssdi8PlusW4a8Options();
std::vector<Pass> PlanSsdi8PlusW8a8(const RecipeOptions& options);
std::vector<Pass> PlanSsdi8PlusW4a8(const RecipeOptions& options);

// Options that several recipes share.
RecipeOption StateOption();
RecipeOption HadamardOption();
RecipeOption GroupOption();
RecipeOption ChunkSizeOption(int64_t fallback);
RecipeOption MeanCorrectionOption(const char* fallback);
// The pass that the option mean_correction asks for: a factor in [0, 1] or "auto".
Pass MeanCorrectionPass(const RecipeOptions& options);

// What SSDi8 encodes, for Calibrate (methods_mamba 2.8.3).
std::vector<SiteRule> Ssdi8Sites();

}  // namespace octet
#endif  // OCTET_QUANT_RECIPES_RECIPES_H_
