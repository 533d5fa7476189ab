#include <algorithm>

#include <fmt/format.h>

#include "base/version.h"
#include "exec/quantized_format.h"
#include "quant/recipe.h"

namespace octet {

Status CheckFamily(const Recipe& recipe, const Graph& graph) {
  const auto is_ssd = [](const Node& n) { return n.op == Op::kSsd; };
  if (!recipe.needs_ssd || std::ranges::any_of(graph.nodes, is_ssd)) return {};
  return Unsupported(
      fmt::format("recipe {} quantizes inside the SSD of Mamba-2, which this model does not have",
                  recipe.name));
}

Result<QuantizedModel> Quantize(const Recipe& recipe, const RecipeOptions& options, Graph graph,
                                WeightMap weights, const TokenDataset& data,
                                const Json& calibration, ThreadPool* pool,
                                const Progress& progress) {
  OCTET_TRY(CheckFamily(recipe, graph));
  if (recipe.needs_calibration && data.tokens() == 0) {
    return InvalidArgument(fmt::format("recipe {} needs calibration text", recipe.name));
  }
  for (const auto& document : data.documents) {
    if (document.empty()) return InvalidArgument("a calibration document has no tokens");
  }
  QuantContext context{graph, weights, data, *pool, progress, {}};
  for (const Pass& pass : recipe.plan(options)) {
    if (const Status s = pass.run(context); !s.ok()) {
      return s.Annotate(fmt::format("recipe {}: {}", recipe.name, pass.name));
    }
  }
  OCTET_TRY(Verify(graph));
  Json config = Json::MakeObject();
  config.Set("quant_method", "octet");
  config.Set("version", kVersion);
  config.Set("recipe", recipe.name);
  config.Set("options", options.json());
  config.Set("calibration", recipe.needs_calibration ? calibration : Json());
  config.Set("graph", DescribeQuantization(graph, weights));
  return QuantizedModel{std::move(graph), std::move(weights), std::move(config)};
}

}  // namespace octet
