// Plans with a name.
#ifndef OCTET_QUANT_S4D_RECIPES_H_
#define OCTET_QUANT_S4D_RECIPES_H_

#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "quant/s4d/plan.h"

namespace octet {

struct S4dRecipe {
  const char* name;
  const char* help;  // one line
  S4dPlan (*plan)();
};

// arXiv:2506.12480's first. WxAy: linears, B, C and D in x bits, activations in y; A and the state
// in 8, but for A of Octet's, which has 4 bits for the radius and 8 for the phase.
std::span<const S4dRecipe> S4dRecipes();

// The plan of a name or, where `recipe` ends with ".json", of a file: an object that ApplyJson
// takes, with "recipe" for the name to start from, if any. kNotFound naming the known ones;
// errors of a file start with its path.
Result<S4dPlan> LoadS4dRecipe(const std::string& recipe);
// The same for one model: errors of Check, naming `recipe`, where it is not for `graph`.
Result<S4dPlan> LoadS4dRecipe(const std::string& recipe, const Graph& graph);

// The content of a file that LoadS4dRecipe takes to `plan`: where `recipe` is a name and its plan
// differs in widths of single tensors alone, {"recipe": NAME, "widths": {...}}, else every member.
Json S4dRecipeFile(const std::string& recipe, const S4dPlan& plan);

}  // namespace octet
#endif  // OCTET_QUANT_S4D_RECIPES_H_
