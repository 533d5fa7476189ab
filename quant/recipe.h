// Quantization recipes: a name, a source, and a plan; passes carry the plan out.
#ifndef OCTET_QUANT_RECIPE_H_
#define OCTET_QUANT_RECIPE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "graph/graph.h"
#include "quant/context.h"
#include "quant/plan.h"
#include "tensor/weights.h"

namespace octet {

// One step of a recipe. All `prepare`s run first, in order; then, block by block, all `block`s in
// order; then all `finish`es. Each may be empty.
struct Pass {
  std::string name;
  // Sees the graph as a whole and the tensors outside the blocks: the embedding and the head.
  std::function<Status(QuantContext&)> prepare = nullptr;
  std::function<Status(QuantContext&, int layer)> block = nullptr;
  // The streams hold what left the last block.
  std::function<Status(QuantContext&)> finish = nullptr;
};

// Runs `passes` over the model of `c`.
Status RunPasses(const std::vector<Pass>& passes, QuantContext& c);

// One documented option of a recipe: "state" : "f32" | "f16" | "i8".
struct RecipeOption {
  const char* name;
  Json fallback;                     // its type is the option's type
  std::vector<const char*> choices;  // of a string option; empty: any
  double low = 0, high = 0;          // of a number, inclusive
  const char* help;
};

// Typed, checked options of one run: every known option has a value.
class RecipeOptions {
 public:
  // `given`: an object of option values; strings are converted to the option's type, so that
  // command lines can pass "group=128". kInvalidArgument for an unknown name, naming the known
  // ones, or a value outside the allowed ones.
  static Result<RecipeOptions> Parse(std::span<const RecipeOption> known, const Json& given);
  const std::string& String(std::string_view name) const;
  int64_t Int(std::string_view name) const;
  double Double(std::string_view name) const;
  const Json& json() const { return values_; }

 private:
  Json values_ = Json::MakeObject();
};

// kMamba covers FalconMamba.
enum class Family : uint8_t { kMamba, kMamba2 };
Family FamilyOf(const Graph& graph);

struct Recipe {
  const char* name;     // "ssdi8-w8a8"
  const char* source;   // paper
  const char* summary;  // one line for `octet recipes`
  std::vector<RecipeOption> (*options)();
  QuantPlan (*plan)(const RecipeOptions& options, Family family);
  std::optional<Family> only = std::nullopt;  // the one family that the recipe is for
};

// All recipes, one line each in registry.cc.
std::span<const Recipe> Recipes();
// kInvalidArgument naming the known recipes.
Result<const Recipe*> FindRecipe(std::string_view name);

// A recipe with everything decided, for models of one family.
struct RecipeRun {
  std::string name;
  Json options;
  QuantPlan plan;
};
// Of a named recipe; kInvalidArgument as RecipeOptions::Parse, kUnsupported when it is not for the
// family; either names the recipe.
Result<RecipeRun> PlanRecipe(const Recipe& recipe, const Json& options, Family family);
// Of a JSON recipe file {"recipe": NAME, "options": {...}, members of QuantPlan...}: the named
// recipe's plan (or, without one, a plan that leaves the model in float) with what the file sets;
// its "forks", "sites" and "weights" are added to the recipe's. `options` go before the file's.
// kInvalidArgument naming the file and the member.
Result<RecipeRun> PlanRecipeFile(const std::string& path, const Json& options, Family family);
// Of the file if `recipe` ends in ".json", of the registered recipe of that name otherwise.
Result<RecipeRun> PlanRecipeNamed(const std::string& recipe, const Json& options, Family family);

// The result: a graph with encodings, its weights, and the quantization_config for config.json.
struct QuantizedModel {
  Graph graph;
  WeightMap weights;
  Json config;
};

// Runs a recipe on a float model. `calibration` describes the data for the record ("name",
// "sha256", "tokens"). Deterministic: the same inputs give the same bytes, for any number of
// threads. kInvalidArgument when the plan needs calibration data and there is none. With a work
// folder, what is finished is kept there and not in memory, the result is mapped from it, and an
// earlier run is gone on with; the bytes are the same.
Result<QuantizedModel> Quantize(const RecipeRun& run, Graph graph, WeightMap weights,
                                const TokenDataset& data, const Json& calibration, ThreadPool* pool,
                                const Progress& progress, WorkFolder* work = nullptr);

}  // namespace octet
#endif  // OCTET_QUANT_RECIPE_H_
