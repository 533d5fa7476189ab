#include "quant/named_tensors.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace octet {
namespace {

std::vector<NamedTensor> OuterTensors(const Graph& graph) {
  const Node& logits = graph.nodes[static_cast<size_t>(graph.logits)];
  std::vector<NamedTensor> tensors = {
      {kOutsideBlocks, "embedding", graph.nodes[0].weights[0], 0, false}};
  if (logits.weights[0] != tensors[0].full) {
    tensors.push_back({kOutsideBlocks, "head", logits.weights[0], graph.logits, true});
  }
  return tensors;
}

}  // namespace

std::vector<NamedTensor> TensorsOf(const Graph& graph, int layer) {
  if (layer == kOutsideBlocks) return OuterTensors(graph);
  std::vector<NamedTensor> tensors;
  const std::string prefix = fmt::format("backbone.layers.{}.", layer);
  const auto [begin, end] = graph.LayerRange(layer);
  for (ValueId v = begin; v < end; ++v) {
    const Node& n = graph.nodes[static_cast<size_t>(v)];
    for (size_t i = 0; i < n.weights.size(); ++i) {
      const std::string& full = n.weights[i];
      if (full.empty()) continue;
      std::string name = full.substr(std::min(full.size(), prefix.size()));
      if (name.starts_with("mixer.")) name.erase(0, std::strlen("mixer."));
      const bool linear = n.op == Op::kLinear && i == 0;
      if (linear && name.ends_with(".weight")) name.resize(name.size() - std::strlen(".weight"));
      tensors.push_back({layer, name, full, v, linear});
    }
  }
  return tensors;
}

}  // namespace octet
