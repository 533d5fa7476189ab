#include <fmt/format.h>

#include "quant/recipe.h"

namespace octet {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{1} << 20;

// The options of a recipe file, with those of the command line over them.
Result<Json> MergeOptions(const Json* file, const Json& given) {
  Json merged = file == nullptr ? Json::MakeObject() : *file;
  if (!merged.is_object()) return InvalidArgument("options must be a JSON object");
  if (given.is_null()) return merged;
  for (const auto& [name, value] : given.AsObject()) {
    merged.Set(name, value);
  }
  return merged;
}

Result<RecipeRun> PlanJson(const Json& j, const Json& given, const std::string& name,
                           Family family) {
  if (!j.is_object()) return InvalidArgument("a recipe must be a JSON object");
  Json rest = j;
  RecipeRun run{name, Json::MakeObject(), {}};
  OCTET_ASSIGN(const Json options, MergeOptions(j.Find("options"), given));
  if (const Json* base = j.Find("recipe"); base != nullptr) {
    if (!base->is_string()) return InvalidArgument("member recipe must be the name of a recipe");
    OCTET_ASSIGN(const Recipe* recipe, FindRecipe(base->AsString()));
    OCTET_ASSIGN(run, PlanRecipe(*recipe, options, family));
    run.name = name;
  } else if (!options.AsObject().empty()) {
    return InvalidArgument("has no member recipe that options could be for");
  }
  if (given.is_object()) {
    for (const auto& [option, value] : given.AsObject()) {
      if (rest.Find(option) == nullptr) continue;
      return InvalidArgument(fmt::format("sets {0} itself, so option {0} has no effect", option));
    }
  }
  rest.Erase("recipe");
  rest.Erase("options");
  OCTET_TRY(ApplyJson(rest, &run.plan));
  return run;
}

}  // namespace

Result<RecipeRun> PlanRecipe(const Recipe& recipe, const Json& options, Family family) {
  if (recipe.only.value_or(family) != family) {
    return Unsupported(fmt::format("recipe {} is for {} models, which this one is not", recipe.name,
                                   family == Family::kMamba ? "Mamba-2" : "Mamba-1"));
  }
  const Result<RecipeOptions> parsed = RecipeOptions::Parse(recipe.options(), options);
  if (!parsed.ok()) return parsed.status().Annotate(fmt::format("recipe {}", recipe.name));
  RecipeRun run{recipe.name, parsed->json(), recipe.plan(*parsed, family)};
  const Status sound = CheckPlan(run.plan);
  if (!sound.ok()) return sound.Annotate(fmt::format("recipe {}", recipe.name));
  return run;
}

Result<RecipeRun> PlanRecipeFile(const std::string& path, const Json& options, Family family) {
  OCTET_ASSIGN(const Json j, Json::ParseFile(path, kMaxFileBytes));
  const size_t slash = path.rfind('/');
  Result<RecipeRun> run =
      PlanJson(j, options, slash == path.npos ? path : path.substr(slash + 1), family);
  if (!run.ok()) return run.status().Annotate(path);
  return run;
}

Result<RecipeRun> PlanRecipeNamed(const std::string& recipe, const Json& options, Family family) {
  if (recipe.ends_with(".json")) return PlanRecipeFile(recipe, options, family);
  OCTET_ASSIGN(const Recipe* found, FindRecipe(recipe));
  return PlanRecipe(*found, options, family);
}

}  // namespace octet
