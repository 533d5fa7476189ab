#include "train/parameters.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace octet {

Result<ParameterLayout> ParameterLayout::Of(const Graph& graph, const WeightMap& weights) {
  ParameterLayout layout;
  for (const Node& n : graph.nodes) {
    for (const std::string& name : n.weights) {
      if (name.empty()) continue;
      if (layout.Begin(name) >= 0) return Unsupported(name + ": shared by two nodes");
      OCTET_ASSIGN(const Weight w, weights.Get(name));
      if (w.quantized()) return Unsupported(name + ": quantized weights cannot be trained");
      layout.parameters_.push_back({name, w.shape, layout.size_, w.count()});
      layout.size_ += w.count();
    }
  }
  return layout;
}

int64_t ParameterLayout::Begin(std::string_view name) const {
  const auto found = std::ranges::find(parameters_, name, &Parameter::name);
  return found == parameters_.end() ? -1 : found->begin;
}

const Parameter& ParameterLayout::At(int64_t element) const {
  return *(std::ranges::upper_bound(parameters_, element, {}, &Parameter::begin) - 1);
}

std::vector<float> ParameterLayout::Gather(const WeightMap& weights) const {
  std::vector<float> values(static_cast<size_t>(size_));
  for (const Parameter& p : parameters_) {
    std::ranges::copy(ToF32(*weights.Find(p.name)), values.begin() + p.begin);
  }
  return values;
}

WeightMap ParameterLayout::Scatter(std::span<const float> values) const {
  WeightMap weights;
  for (const Parameter& p : parameters_) {
    const auto begin = values.begin() + p.begin;
    weights.Set(p.name, MakeWeight({begin, begin + p.count}, p.shape));
  }
  return weights;
}

}  // namespace octet
