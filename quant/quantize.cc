#include <fmt/format.h>

#include "base/version.h"
#include "exec/quantized_format.h"
#include "quant/recipe.h"

namespace octet {

Result<QuantizedModel> Quantize(const Recipe& recipe, const RecipeOptions& options, Graph graph,
                                WeightMap weights, const TokenDataset& data,
                                const Json& calibration, ThreadPool* pool,
                                const Progress& progress) {
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
