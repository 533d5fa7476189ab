#include "exec/state.h"

#include "kernels/ssd_state.h"

namespace octet {

State::State(const Graph& graph, HistoryStorage history)
    : format_(graph.state), fixed_(graph.state_scales), layers_(static_cast<size_t>(graph.layers)) {
  for (const Node& n : graph.nodes) {
    if (n.layer >= 0) Allocate(graph, n, history);
    if (n.op == Op::kMean) sum_.resize(static_cast<size_t>(n.width));
  }
}

State State::OfBlock(const Graph& graph, int layer, HistoryStorage history) {
  State state;
  state.format_ = graph.state;
  state.fixed_ = graph.state_scales;
  state.layers_.resize(static_cast<size_t>(graph.layers));
  const auto [begin, end] = graph.LayerRange(layer);
  for (ValueId v = begin; v < end; ++v) {
    state.Allocate(graph, graph.nodes[static_cast<size_t>(v)], history);
  }
  return state;
}

void State::Allocate(const Graph& graph, const Node& n, HistoryStorage history) {
  Layer& layer = layers_[static_cast<size_t>(n.layer)];
  if (n.op == Op::kCausalConvSilu) layer.conv = ConvHistory(graph, n, history);
  if (!HasState(n.op)) return;
  layer.rows = n.width;
  layer.N = StateSize(n);
  layer.h.resize(static_cast<size_t>(format_.CodeBytes(layer.rows * layer.N)));
  if (format_.dynamic_scales()) layer.h_scales.assign(static_cast<size_t>(layer.rows), 1.0f);
  if (format_.rounding == StateRounding::kFeedback) {
    constexpr uint8_t kNone = 0x88;  // two residuals of zero
    layer.h_residuals.assign(static_cast<size_t>(layer.rows * ResidualBytes(layer.N)), kNone);
  }
}

StateView State::ssm(int layer, int64_t offset) {
  Layer& l = layers_[static_cast<size_t>(layer)];
  StateView h;
  h.format = format_;
  h.data = l.h.data();
  if (format_.dynamic_scales()) h.scales = l.h_scales.data();
  if (format_.rounding == StateRounding::kFeedback) h.residuals = l.h_residuals.data();
  if (fixed_ != nullptr) h.fixed = &(*fixed_)[static_cast<size_t>(layer)];
  h.noise_key = NoiseKey(format_.seed, layer);
  h.position = position_ + offset;
  return h;
}

std::vector<float> State::Values(int layer) const {
  // The view is only read.
  const StateView h = const_cast<State*>(this)->ssm(layer);
  const Layer& l = layers_[static_cast<size_t>(layer)];
  std::vector<float> values(static_cast<size_t>(l.rows * l.N));
  for (int64_t row = 0; row < l.rows; ++row) {
    LoadStateRow(h, row, l.N, values.data() + row * l.N);
  }
  return values;
}

int64_t State::bytes() const {
  int64_t total = std::ssize(sum_) * int64_t{sizeof(float)};
  for (const Layer& l : layers_) {
    total += l.conv.bytes();
    total += std::ssize(l.h) + std::ssize(l.h_residuals) +
             std::ssize(l.h_scales) * int64_t{sizeof(float)};
  }
  return total;
}

bool operator==(const State& a, const State& b) {
  const bool same_scales = a.fixed_ == b.fixed_ ||
                           (a.fixed_ != nullptr && b.fixed_ != nullptr && *a.fixed_ == *b.fixed_);
  return same_scales && a.format_ == b.format_ && a.layers_ == b.layers_ && a.sum_ == b.sum_ &&
         a.position_ == b.position_;
}

}  // namespace octet
