#include "quant/smooth.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace octet {
namespace {

bool IsFinite(float v) {
  return std::isfinite(v);
}

// The norm whose output only `linear` reads.
Result<const Node*> NormBefore(const Graph& graph, ValueId linear) {
  const Node& n = graph.nodes[static_cast<size_t>(linear)];
  if (n.op != Op::kLinear) return InvalidArgument("site " + n.site + " is no Linear");
  const Node& norm = graph.nodes[static_cast<size_t>(n.in[0])];
  if ((norm.op != Op::kRmsNorm && norm.op != Op::kGatedRmsNorm) || norm.weights[0].empty()) {
    return Unsupported("smoothing: no norm with a weight feeds " + n.site);
  }
  const auto readers = std::ranges::count_if(
      graph.nodes, [&](const Node& r) { return std::ranges::count(r.in, n.in[0]) != 0; });
  if (readers != 1) return Unsupported("smoothing: " + norm.site + " has other readers");
  if (graph.FindEncoding(norm.site) != nullptr) {
    return InvalidArgument("smoothing: site " + norm.site + " is encoded already");
  }
  return &norm;
}

}  // namespace

Result<std::vector<float>> SmoothFactors(std::span<const float> input_absmax, const Weight& w,
                                         double alpha) {
  if (!(alpha >= 0 && alpha <= 1)) {
    return InvalidArgument("option alpha of smoothing must be between 0 and 1");
  }
  if (static_cast<int64_t>(input_absmax.size()) != w.columns()) {
    return InvalidArgument(fmt::format("smoothing: {} input channels for a weight of {} columns",
                                       input_absmax.size(), w.columns()));
  }
  std::vector<float> peaks(input_absmax.size(), 0.0f);
  const std::vector<float> values = ToF32(w);
  if (!std::ranges::all_of(values, IsFinite) || !std::ranges::all_of(input_absmax, IsFinite)) {
    return Corrupt("smoothing: the weight or its input has values that are not finite");
  }
  for (size_t i = 0; i < values.size(); ++i) {
    float& peak = peaks[i % peaks.size()];
    peak = std::max(peak, std::fabs(values[i]));
  }
  std::vector<float> factors;
  for (size_t j = 0; j < peaks.size(); ++j) {
    const double x = std::fabs(static_cast<double>(input_absmax[j]));
    const auto weight = static_cast<double>(peaks[j]);
    const double f = std::pow(x, alpha) / std::pow(weight, 1 - alpha);
    const bool usable = x > 0 && weight > 0 && std::isnormal(static_cast<float>(f));
    factors.push_back(usable ? static_cast<float>(f) : 1.0f);
  }
  return factors;
}

Status FoldSmoothing(const Graph& graph, ValueId linear, std::span<const float> factors,
                     WeightMap* weights) {
  OCTET_ASSIGN(const Node* norm, NormBefore(graph, linear));
  const std::string& name = graph.nodes[static_cast<size_t>(linear)].weights[0];
  OCTET_ASSIGN(const Weight w, weights->Get(name));
  OCTET_ASSIGN(const Weight gamma, weights->Get(norm->weights[0]));
  const auto count = static_cast<int64_t>(factors.size());
  if (w.columns() != count || gamma.count() != count) {
    return InvalidArgument(
        fmt::format("smoothing: {} factors for the {} columns of {}", count, w.columns(), name));
  }
  if (!std::ranges::all_of(factors, [](float f) { return f > 0 && std::isfinite(f); })) {
    return InvalidArgument("smoothing: a factor of " + name + " is not positive and finite");
  }
  if (w.quantized() || gamma.quantized()) {
    return InvalidArgument("smoothing: tensor " + name + " is quantized already");
  }
  std::vector<float> matrix = ToF32(w), scale = ToF32(gamma);
  for (size_t i = 0; i < matrix.size(); ++i) {
    matrix[i] *= factors[i % factors.size()];
  }
  for (size_t j = 0; j < scale.size(); ++j) {
    scale[j] /= factors[j];
  }
  weights->Set(name, MakeWeight(std::move(matrix), w.shape));
  weights->Set(norm->weights[0], MakeWeight(std::move(scale), gamma.shape));
  return {};
}

}  // namespace octet
