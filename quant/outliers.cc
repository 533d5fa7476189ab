#include "quant/outliers.h"

#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/rng.h"
#include "quant/smooth.h"

namespace octet {
namespace {

// What FoldSmoothing divides the norm's weight by: 1/f in random channels, else 1.
std::vector<float> RandomFactors(const OutlierOptions& o, int64_t width, Rng* rng) {
  std::vector<float> factors(static_cast<size_t>(width), 1.0f);
  std::vector<size_t> order(factors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  for (size_t i = 0; i < static_cast<size_t>(o.channels); ++i) {
    std::swap(order[i], order[i + rng->Below(order.size() - i)]);
    factors[order[i]] = static_cast<float>(std::pow(o.max_factor, -rng->Uniform()));
  }
  return factors;
}

}  // namespace

Status AddOutliers(const OutlierOptions& options, const Graph& graph, WeightMap* weights) {
  if (!(options.max_factor >= 1) || !std::isfinite(options.max_factor) || options.channels < 0) {
    return InvalidArgument("outliers: the factor must be at least 1 and channels at least 0");
  }
  Rng rng(options.seed);
  for (size_t v = 0; v < graph.nodes.size(); ++v) {
    const Node& linear = graph.nodes[v];
    if (linear.op != Op::kLinear || linear.layer < 0) continue;
    const Node& input = graph.nodes[static_cast<size_t>(linear.in[0])];
    const bool norm = input.op == Op::kRmsNorm || input.op == Op::kGatedRmsNorm;
    if (!norm || input.weights[0].empty()) continue;
    if (options.channels > input.width) {
      return InvalidArgument(fmt::format("outliers: {} channels, but {} has only {}",
                                         options.channels, input.site, input.width));
    }
    OCTET_TRY(FoldSmoothing(graph, static_cast<ValueId>(v),
                            RandomFactors(options, input.width, &rng), weights));
  }
  return {};
}

}  // namespace octet
