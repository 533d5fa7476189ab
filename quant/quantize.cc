#include <algorithm>

#include <fmt/format.h>

#include "base/version.h"
#include "exec/quantized_format.h"
#include "quant/passes/passes.h"
#include "quant/recipe.h"
#include "quant/sweep.h"

namespace octet {

Status RunPasses(const std::vector<Pass>& passes, QuantContext& c) {
  const auto run = [](const Pass& pass, const Status& s) { return s.Annotate(pass.name); };
  c.steps = static_cast<int64_t>(passes.size()) * (c.graph.layers + 2);
  c.steps_done = 0;
  for (const Pass& pass : passes) {
    if (pass.prepare) OCTET_TRY(run(pass, pass.prepare(c)));
    ++c.steps_done;
  }
  for (int layer = 0; layer < c.graph.layers; ++layer) {
    for (const Pass& pass : passes) {
      if (pass.block) OCTET_TRY(run(pass, pass.block(c, layer)));
      ++c.steps_done;
      c.Report(0, 1);
    }
    if (c.float_streams) c.float_streams->Advance();
    if (c.quantized_streams) c.quantized_streams->Advance();
  }
  for (const Pass& pass : passes) {
    if (pass.finish) OCTET_TRY(run(pass, pass.finish(c)));
    ++c.steps_done;
  }
  return {};
}

Family FamilyOf(const Graph& graph) {
  const auto is_ssd = [](const Node& n) { return n.op == Op::kSsd; };
  return std::ranges::any_of(graph.nodes, is_ssd) ? Family::kMamba2 : Family::kMamba;
}

Result<QuantizedModel> Quantize(const RecipeRun& run, Graph graph, WeightMap weights,
                                const TokenDataset& data, const Json& calibration, ThreadPool* pool,
                                const Progress& progress) {
  const bool calibrates = NeedsCalibration(run.plan);
  if (calibrates && data.tokens() == 0) {
    return InvalidArgument(fmt::format("recipe {} needs calibration text", run.name));
  }
  for (const auto& document : data.documents) {
    if (document.empty()) return InvalidArgument("a calibration document has no tokens");
  }
  QuantPlan plan = run.plan;
  if (plan.sweep_alpha) {
    OCTET_ASSIGN(plan, SweepAlpha(run.plan, graph, weights, data, pool, progress));
  }
  QuantContext context{graph, weights, data, *pool, progress};
  if (const Status s = RunPasses(PassesOf(plan), context); !s.ok()) {
    return s.Annotate("recipe " + run.name);
  }
  OCTET_TRY(Verify(graph));
  Json config = Json::MakeObject();
  config.Set("quant_method", "octet");
  config.Set("version", kVersion);
  config.Set("recipe", run.name);
  config.Set("options", run.options);
  config.Set("plan", ToJson(plan));
  config.Set("calibration", calibrates ? calibration : Json());
  config.Set("graph", DescribeQuantization(graph, weights));
  return QuantizedModel{std::move(graph), std::move(weights), std::move(config)};
}

}  // namespace octet
