#include <algorithm>

#include <fmt/format.h>

#include "base/version.h"
#include "exec/quantized_format.h"
#include "quant/passes/passes.h"
#include "quant/recipe.h"
#include "quant/sweep.h"

namespace octet {

namespace {

// What leaves the block enters the next one. With a work folder the block is finished in between:
// the streams that enter a block stay on the disk until it does not have to be done again.
Status EndBlock(QuantContext& c, int layer) {
  const auto each = [&](auto&& step) -> Status {
    if (c.float_streams) OCTET_TRY(step(*c.float_streams));
    if (c.quantized_streams) OCTET_TRY(step(*c.quantized_streams));
    return {};
  };
  if (c.work != nullptr) {
    OCTET_TRY(each([](ResidualStreams& s) { return s.Flush(); }));
    OCTET_TRY(c.work->FinishBlock(layer, c.graph, c.state_scales, &c.weights));
  }
  return each([](ResidualStreams& s) { return s.Advance(); });
}

// The plan with everything decided that calibration text decides.
Result<QuantPlan> Decide(const QuantPlan& plan, const Graph& graph, const WeightMap& weights,
                         const TokenDataset& data, ThreadPool* pool, const Progress& progress,
                         WorkFolder* work) {
  if (!plan.sweep_alpha) return plan;
  if (work != nullptr && !work->remembered().is_null()) {
    QuantPlan decided;
    OCTET_TRY(ApplyJson(work->remembered(), &decided));
    return decided;
  }
  OCTET_ASSIGN(QuantPlan decided, SweepAlpha(plan, graph, weights, data, pool, progress));
  if (work != nullptr) OCTET_TRY(work->Remember(ToJson(decided)));
  return decided;
}

}  // namespace

Status RunPasses(const std::vector<Pass>& passes, QuantContext& c) {
  const auto run = [](const Pass& pass, const Status& s) { return s.Annotate(pass.name); };
  c.steps = static_cast<int64_t>(passes.size()) * (c.graph.layers + 2);
  c.steps_done = 0;
  const WeightMap source = c.weights;
  for (const Pass& pass : passes) {
    if (pass.prepare) OCTET_TRY(run(pass, pass.prepare(c)));
    ++c.steps_done;
  }
  int first = 0;
  if (c.work != nullptr) {
    OCTET_TRY(c.work->KeepEnds(source, &c.weights));
    OCTET_TRY(c.work->Restore(&c.graph, &c.weights, &c.state_scales));
    first = c.work->finished();
    c.steps_done += static_cast<int64_t>(passes.size()) * first;
  }
  for (int layer = first; layer < c.graph.layers; ++layer) {
    for (const Pass& pass : passes) {
      if (pass.block) OCTET_TRY(run(pass, pass.block(c, layer)));
      ++c.steps_done;
      c.Report(0, 1);
    }
    OCTET_TRY(EndBlock(c, layer));
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
                                const Progress& progress, WorkFolder* work) {
  const bool calibrates = NeedsCalibration(run.plan);
  if (calibrates && data.tokens() == 0) {
    return InvalidArgument(fmt::format("recipe {} needs calibration text", run.name));
  }
  for (const auto& document : data.documents) {
    if (document.empty()) return InvalidArgument("a calibration document has no tokens");
  }
  OCTET_ASSIGN(const QuantPlan plan, Decide(run.plan, graph, weights, data, pool, progress, work));
  QuantContext context{graph, weights, data, *pool, progress};
  context.work = work;
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
