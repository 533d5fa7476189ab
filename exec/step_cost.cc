#include "exec/step_cost.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "exec/node_lowering.h"
#include "exec/state.h"

namespace octet {
namespace {

class Costs {
 public:
  Costs(const Graph& graph, const WeightMap& weights, const StepKernels& step, int64_t tokens)
      : graph_(graph),
        weights_(weights),
        step_(step),
        n_(graph.nodes[static_cast<size_t>(step.node)]),
        T_(static_cast<double>(tokens)) {}

  StepCost Get() {
    if (step_.encoding) {
      // Reads floats, writes codes: a multiplication and a rounding.
      cost_.activation_bytes = T_ * Width(n_) * (sizeof(float) + 1);
      cost_.operations = 2 * T_ * Width(n_);
      return cost_;
    }
    cost_.weight_bytes = WeightBytes();
    cost_.state_bytes = MovedStateBytes();
    double values = T_ * Width(n_) * sizeof(float);
    for (size_t i = 0; i < n_.in.size(); ++i) {
      // A split reads its window only.
      const double width = n_.op == Op::kSplit ? Width(n_) : Width(Input(i));
      values += T_ * width * (ReadsCodes(graph_, n_, i, weights_) ? 1 : sizeof(float));
    }
    cost_.activation_bytes = values;
    cost_.operations = Operations();
    cost_.integer = n_.op == Op::kLinear ? ReadsCodes(graph_, n_, 0, weights_)
                                         : n_.op == Op::kSsd && n_.ssd.int8 && T_ > 1;
    return cost_;
  }

 private:
  const Node& Input(size_t i) const { return graph_.nodes[static_cast<size_t>(n_.in[i])]; }
  static double Width(const Node& n) { return static_cast<double>(n.width); }

  double WeightBytes() const {
    int64_t bytes = 0;
    for (const std::string& name : n_.weights) {
      const Weight* w = name.empty() ? nullptr : weights_.Find(name);
      if (w != nullptr) bytes += w->bytes();
    }
    return static_cast<double>(bytes);
  }

  double MovedStateBytes() const {
    const bool history = n_.op == Op::kCausalConvSilu;
    if (!history && !HasState(n_.op)) return 0;
    State state = State::OfBlock(graph_, n_.layer);
    const ConvHistory& conv = state.conv(n_.layer);
    const auto history_bytes = static_cast<double>(conv.bytes());
    if (!history) return 2 * (static_cast<double>(state.bytes()) - history_bytes);
    const auto rows = static_cast<double>(conv.rows());
    return rows == 0 ? 0 : history_bytes * (1 + std::min(T_, rows) / rows);
  }

  double Operations() const {
    switch (n_.op) {
      case Op::kLinear:
        return 2 * T_ * Width(n_) * Width(Input(0));
      case Op::kCausalConvSilu:
        return T_ * Width(n_) * (2 * static_cast<double>(n_.taps) + 4);
      case Op::kSsd:
        return Ssd();
      case Op::kSelectiveScan:
        // exp(dt A), its product, dt x B, and the two multiply-adds of h and y.
        return 7 * T_ * Width(n_) * static_cast<double>(n_.scan.state_size);
      case Op::kS4d:
        // A complex multiply-add, B u, and the real part of C x.
        return 12 * T_ * Width(n_) * static_cast<double>(n_.s4d.modes);
      case Op::kHadamard:
        return T_ * Width(n_) * std::log2(std::max(2.0, Width(n_)));
      case Op::kRmsNorm:
      case Op::kLayerNorm:
      case Op::kGate:
      case Op::kGelu:
      case Op::kGlu:
        return 4 * T_ * Width(n_);
      case Op::kGatedRmsNorm:
        return 8 * T_ * Width(n_);
      case Op::kSoftplus:
        return 4 * T_ * Width(n_);
      case Op::kAdd:
      case Op::kMean:
        return T_ * Width(n_);
      case Op::kSplit:
      case Op::kEmbedding:
      case Op::kFrames:
        return 0;
    }
    return 0;
  }

  // kernels/ssd.h: one token, or chunks of L.
  double Ssd() const {
    const auto H = static_cast<double>(n_.ssd.heads), P = static_cast<double>(n_.ssd.head_dim);
    const auto N = static_cast<double>(n_.ssd.state_size);
    if (T_ == 1) return 5 * H * P * N;  // the decay, dt x B, and the two multiply-adds of h and y
    const auto G = static_cast<double>(n_.ssd.groups);
    const auto L = std::min(T_, static_cast<double>(n_.ssd.chunk_size));
    const double pairs = (L + 1) / 2;  // earlier tokens of the chunk that a token sees, on average
    const double scores = 2 * G * N * pairs;
    const double inside = H * pairs * (2 * P + 2);  // with the decay of each score
    const double states = 4 * H * P * N;            // into the chunk's state, and out of the last
    return T_ * (scores + inside + states);
  }

  const Graph& graph_;
  const WeightMap& weights_;
  const StepKernels& step_;
  const Node& n_;
  double T_;
  StepCost cost_;
};

// "backbone.layers.3.mixer.in_proj.weight" -> "in_proj".
std::string MatrixName(std::string_view tensor) {
  if (tensor.ends_with(".weight")) tensor.remove_suffix(7);
  const size_t dot = tensor.rfind('.');
  return std::string(dot == tensor.npos ? tensor : tensor.substr(dot + 1));
}

}  // namespace

StepCost CostOf(const Graph& graph, const WeightMap& weights, const StepKernels& step,
                int64_t tokens) {
  return Costs(graph, weights, step, tokens).Get();
}

std::string StageOf(const Graph& graph, const StepKernels& step) {
  if (step.encoding) return "encoding";
  const Node& n = graph.nodes[static_cast<size_t>(step.node)];
  switch (n.op) {
    case Op::kLinear:
      return step.node == graph.logits ? "head" : MatrixName(n.weights[0]);
    case Op::kCausalConvSilu:
      return "conv";
    case Op::kSoftplus:
      return "dt";
    case Op::kSsd:
      return "ssd";
    case Op::kSelectiveScan:
      return "scan";
    case Op::kRmsNorm:
    case Op::kGatedRmsNorm:
    case Op::kLayerNorm:
      return "norms";
    case Op::kGate:
      return "gate";
    case Op::kHadamard:
      return "hadamard";
    case Op::kAdd:
      return "residual";
    case Op::kSplit:
      return "copies";
    default:
      return OpName(n.op);
  }
}

}  // namespace octet
