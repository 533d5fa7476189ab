// Loss and gradient of one sequence through a graph of frames, by reverse mode.
#ifndef OCTET_TRAIN_BACKPROP_H_
#define OCTET_TRAIN_BACKPROP_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "graph/graph.h"
#include "train/fake_quant.h"
#include "train/ops.h"
#include "train/parameters.h"

namespace octet {

// What a sequence should be classified as. The loss is the cross entropy of its label or, distilled
// (Hinton et al. 2015),
//   (1 - share) cross entropy + share temperature^2 KL(teacher || student), of softmax(logits /
//   temperature)
struct Target {
  size_t label = 0;
  std::span<const float> teacher = {};  // logits; empty: none
  double share = 0, temperature = 1;
};

// Float, for training, or double, for tests. Thread-safe but for SetParameters: each thread has a
// Workspace of its own.
template <class Real>
class Backprop {
 public:
  // What one sequence leaves behind: the values of all nodes, then their gradients.
  struct Workspace {
    std::vector<std::vector<Real>> values, gradients;     // by node
    std::vector<Held> held;                               // by node: of its values
    std::vector<typename FakeQuant<Real>::Layer> layers;  // by node: of an S4d
    std::vector<Real> logits;
    KernelScratch scratch;
  };

  // `graph` must outlive it. With `quantization` the forward pass is that of S4dSimulation, and
  // gradients go straight through its roundings (train/fake_quant.h). kUnsupported, naming the
  // site, for anything but Frames, Linear, S4d, Gelu, Glu, Add, LayerNorm and one Mean; else as
  // FakeQuant::Create.
  static Result<Backprop> Create(const Graph& graph, const ParameterLayout& layout,
                                 const S4dQuantization* quantization = nullptr);

  // The parameters [layout.size()] of the next calls, and the coefficients of the S4d nodes, which
  // are computed in double and rounded once. kInvalidArgument naming the site, head and mode of one
  // that is not finite; the parameters are then undefined.
  Status SetParameters(std::span<const Real> parameters);

  // The logits after the last of `frames` [T, width of the Frames node] in ws->logits.
  void Forward(std::span<const Real> frames, Workspace* ws) const;
  // Adds the gradient of the loss of those logits to `sum` [sum_size()]; gives the loss in nats.
  // Follows Forward with the same workspace.
  double Backward(const Target& target, Workspace* ws, std::span<Real> sum) const;
  // Sums of gradients are with respect to the parameters, but of S4d nodes to the discrete A, B
  // and C, which lie behind them: the chain to the poles is the same for all sequences.
  int64_t sum_size() const { return sum_size_; }
  // From a sum of them to the gradient [layout.size()].
  std::vector<double> Chain(std::span<const Real> sum) const;

 private:
  struct Step {
    std::vector<int64_t> weights;  // first element of each, -1 for ""
    bool pooled = false;           // one row: the Mean is before it
    int64_t discrete = -1;         // S4d: first element of A, B, C in `sum`
    S4dPlanes<Real> planes;        // S4d; rounded
    std::vector<Real> matrix;      // Linear, where it is rounded
  };

  explicit Backprop(const Graph& graph) : graph_(graph) {}
  const Real* Weight(const Step& s, size_t i) const {
    return s.weights[i] < 0 ? nullptr : parameters_.data() + s.weights[i];
  }
  const Real* Matrix(const Step& s) const {
    return s.matrix.empty() ? Weight(s, 0) : s.matrix.data();
  }
  GeluForm GeluOf(const Node& n) const {
    return quant_ && quant_->piecewise_gelu() ? GeluForm::kPiecewise : n.gelu;
  }
  Status DiscretizeNode(const Node& n, Step* s) const;
  void RoundWeights(const Node& n, Step* s) const;
  void ForwardNode(size_t id, int64_t T, Workspace* ws) const;
  void BackwardNode(size_t id, int64_t T, Workspace* ws, Real* sum) const;
  void ChainNode(const Node& n, const Step& s, std::span<const Real> sum,
                 std::vector<double>* gradient) const;
  size_t Input(size_t id, size_t i) const { return static_cast<size_t>(graph_.nodes[id].in[i]); }

  const Graph& graph_;
  std::optional<FakeQuant<Real>> quant_;
  std::vector<Step> steps_;  // by node
  std::vector<Real> parameters_;
  int64_t sum_size_ = 0;
};

extern template class Backprop<float>;
extern template class Backprop<double>;

}  // namespace octet
#endif  // OCTET_TRAIN_BACKPROP_H_
