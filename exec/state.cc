#include "exec/state.h"

namespace octet {

State::State(const Graph& graph)
    : dtype_(graph.state_dtype), layers_(static_cast<size_t>(graph.layers)) {
  for (const Node& n : graph.nodes) {
    if (n.layer < 0) continue;
    Layer& layer = layers_[static_cast<size_t>(n.layer)];
    if (n.op == Op::kCausalConvSilu) layer.conv.resize(static_cast<size_t>((n.taps - 1) * n.width));
    if (n.op == Op::kSsd || n.op == Op::kSelectiveScan) {
      const int64_t N = n.op == Op::kSsd ? n.ssd.state_size : n.scan.state_size;
      layer.h.resize(static_cast<size_t>(BytesOf(dtype_, n.width * N)));
      if (dtype_ == DType::kI8) layer.h_scales.assign(static_cast<size_t>(n.width), 1.0f);
    }
  }
}

StateView State::ssm(int layer) {
  Layer& l = layers_[static_cast<size_t>(layer)];
  return {dtype_, l.h.data(), l.h_scales.empty() ? nullptr : l.h_scales.data()};
}

int64_t State::bytes() const {
  size_t total = 0;
  for (const Layer& l : layers_) {
    total += l.conv.size() * sizeof(float) + l.h.size() + l.h_scales.size() * sizeof(float);
  }
  return static_cast<int64_t>(total);
}

}  // namespace octet
