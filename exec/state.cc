#include "exec/state.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

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

template <class S, class Part>
void State::ForEachPart(S& state, const Part& part) {
  const auto visit = [&](auto span) {
    if constexpr (std::is_const_v<S>) {
      part(std::as_bytes(span));
    } else {
      part(std::as_writable_bytes(span));
    }
  };
  visit(std::span(&state.position_, 1));
  for (auto& l : state.layers_) {
    for (int64_t row = 0; row < l.conv.rows(); ++row) {
      visit(l.conv.row(row));
    }
    visit(std::span(l.h));
    visit(std::span(l.h_scales));
    visit(std::span(l.h_residuals));
  }
  visit(std::span(state.sum_));
}

std::string State::ToBytes() const {
  std::string bytes;
  ForEachPart(*this, [&](std::span<const std::byte> part) {
    bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
  });
  return bytes;
}

Status State::FromBytes(std::span<const std::byte> bytes) {
  size_t size = 0;
  ForEachPart(*this, [&](std::span<std::byte> part) { size += part.size(); });
  if (bytes.size() != size) {
    return Corrupt(fmt::format("a state of this model has {} bytes, not {}", size, bytes.size()));
  }
  State read = *this;
  ForEachPart(read, [&](std::span<std::byte> part) {
    std::ranges::copy(bytes.first(part.size()), part.begin());
    bytes = bytes.subspan(part.size());
  });
  if (!read.IsSound()) {
    return Corrupt(
        "the state has a value that is not finite, a code that its format lacks or an "
        "impossible position");
  }
  *this = std::move(read);
  return {};
}

bool State::IsSound() const {
  const auto finite = [](float x) { return std::isfinite(x); };
  constexpr int64_t kMaxPosition = int64_t{1} << 62;  // so that a stream can go on
  if (position_ < 0 || position_ > kMaxPosition) return false;
  if (!std::ranges::all_of(sum_, finite)) return false;
  for (int i = 0; i < std::ssize(layers_); ++i) {
    const Layer& l = layers_[static_cast<size_t>(i)];
    if (!l.conv.IsSound()) return false;
    if (l.h.empty()) continue;
    // Codes are symmetric: the lowest number of their type is none.
    if (format_.codec == StateCodec::kI16) {
      for (size_t k = 0; k + 1 < l.h.size(); k += 2) {
        int16_t code = 0;
        std::memcpy(&code, &l.h[k], sizeof(code));
        if (code == INT16_MIN) return false;
      }
    } else if (format_.dynamic_scales() || format_.static_scales()) {
      if (std::ranges::count(l.h, std::byte{0x80}) > 0) return false;
    }
    if (!std::ranges::all_of(Values(i), finite)) return false;
  }
  return true;
}

bool operator==(const State& a, const State& b) {
  const bool same_scales = a.fixed_ == b.fixed_ ||
                           (a.fixed_ != nullptr && b.fixed_ != nullptr && *a.fixed_ == *b.fixed_);
  return same_scales && a.format_ == b.format_ && a.layers_ == b.layers_ && a.sum_ == b.sum_ &&
         a.position_ == b.position_;
}

}  // namespace octet
