// Quantization recipes: a name, a source, and a list of passes over a graph and its weights.
#ifndef OCTET_QUANT_RECIPE_H_
#define OCTET_QUANT_RECIPE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/parallel.h"
#include "base/status.h"
#include "exec/interpreter.h"
#include "graph/graph.h"
#include "tensor/weights.h"

namespace octet {

// Calibration text as tokens. Documents are independent streams.
struct TokenDataset {
  std::vector<std::vector<TokenId>> documents;
  int64_t tokens() const;
};

// Told how far a long computation is; `what` is a short phrase ("calibrating"). May be empty.
using Progress = std::function<void(std::string_view what, int64_t done, int64_t total)>;

// What Calibrate leaves for later passes: the float model's block outputs.
struct Calibration {
  // By layer, document and channel: mean over the document's tokens of the site "out".
  std::vector<std::vector<std::vector<double>>> block_means;
};

// What passes read and edit.
struct QuantContext {
  Graph& graph;
  WeightMap& weights;
  const TokenDataset& data;
  ThreadPool& pool;
  const Progress& progress;
  Calibration calibration;
};

// One step of a recipe.
struct Pass {
  std::string name;
  std::function<Status(QuantContext&)> run;
};

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

struct Recipe {
  const char* name;     // "ssdi8-w8a8"
  const char* source;   // paper
  const char* summary;  // one line for `octet recipes`
  bool needs_calibration;
  std::vector<RecipeOption> (*options)();
  std::vector<Pass> (*plan)(const RecipeOptions& options);
  bool needs_ssd = false;  // quantizes inside the SSD, which only Mamba-2 has
};

// Whether the recipe fits the model's family; kUnsupported, naming the recipe, where it does not.
Status CheckFamily(const Recipe& recipe, const Graph& graph);

// All recipes, one line each in registry.cc.
std::span<const Recipe> Recipes();
// kInvalidArgument naming the known recipes.
Result<const Recipe*> FindRecipe(std::string_view name);

// The result: a graph with encodings, its weights, and the quantization_config for config.json.
struct QuantizedModel {
  Graph graph;
  WeightMap weights;
  Json config;
};

// Runs `recipe` on a float model. `calibration` describes the data for the record ("name",
// "sha256", "tokens"). Deterministic: the same inputs give the same bytes, for any number of
// threads. kInvalidArgument when the recipe needs calibration data and there is none; CheckFamily's
// error when it does not fit.
Result<QuantizedModel> Quantize(const Recipe& recipe, const RecipeOptions& options, Graph graph,
                                WeightMap weights, const TokenDataset& data,
                                const Json& calibration, ThreadPool* pool,
                                const Progress& progress);

}  // namespace octet
#endif  // OCTET_QUANT_RECIPE_H_
