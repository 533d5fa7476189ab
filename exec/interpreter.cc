#include "exec/interpreter.h"

#include <algorithm>
#include <cmath>

#include "base/buffer.h"
#include "exec/node_args.h"
#include "kernels/conv1d.h"
#include "kernels/gate.h"
#include "kernels/gelu.h"
#include "kernels/glu.h"
#include "kernels/hadamard.h"
#include "kernels/hadamard_shape.h"
#include "kernels/linear.h"
#include "kernels/math.h"
#include "kernels/rmsnorm.h"
#include "kernels/softplus.h"

namespace octet {
namespace {

using Floats = std::vector<float>;

template <class Args>
void RunKernel(const Args& args, IsaMask isas) {
  const Kernel<Args>& kernel = Kernels<Args>().Pick(args, isas);
  Buffer scratch(kernel.scratch_bytes(args));
  kernel.run(args, Workspace{scratch.data()});
}

// Forwards the kernel's view of inner sites to a Tap, with their full names.
struct InnerTap {
  Tap* tap;
  std::string names[4];  // by SsdSite
  static void At(void* context, SsdSite site, int64_t index, float* values, int64_t rows,
                 int64_t cols) {
    auto* self = static_cast<InnerTap*>(context);
    self->tap->At(self->names[static_cast<size_t>(site)], index, values, rows, cols);
  }
};

}  // namespace

Interpreter::Interpreter(const Graph& graph, const WeightMap& weights, IsaMask isas, S4dMode s4d)
    : graph_(graph), weights_(weights), isas_(isas), s4d_(s4d) {
  floats_[""] = {};
  for (const Node& n : graph.nodes) {
    Widen(n);
  }
}

Interpreter::Interpreter(const Graph& graph, const WeightMap& weights, IsaMask isas, int layer)
    : graph_(graph), weights_(weights), isas_(isas) {
  floats_[""] = {};
  for (const Node& n : graph.nodes) {
    if (n.layer == layer) Widen(n);
  }
}

void Interpreter::Widen(const Node& n) {
  if (n.op == Op::kEmbedding) return;
  for (size_t i = n.op == Op::kLinear ? 1 : 0; i < n.weights.size(); ++i) {
    if (const Weight* w = weights_.Find(n.weights[i]); w != nullptr) {
      floats_.try_emplace(n.weights[i], ToF32(*w));
    }
  }
}

const Floats& Interpreter::Floats(const std::string& name) const {
  return floats_.find(name)->second;
}

Result<Floats> Interpreter::Embed(std::span<const TokenId> tokens) const {
  const Node& n = graph_.nodes[0];
  OCTET_TRY(CheckTokens(graph_, tokens));
  const Weight& table = *weights_.Find(n.weights[0]);
  std::vector<float> rows(tokens.size() * static_cast<size_t>(n.width));
  for (size_t t = 0; t < tokens.size(); ++t) {
    RowToF32(table, tokens[t], rows.data() + t * static_cast<size_t>(n.width));
  }
  return rows;
}

Result<Floats> Interpreter::Encode(std::span<const float> frames, Tap* tap) const {
  OCTET_TRY(CheckFrames(graph_, frames));
  const Node& input = graph_.nodes[0];
  const int64_t T = std::ssize(frames) / input.width;
  std::vector<float> rows(frames.begin(), frames.end());
  if (tap != nullptr) tap->At(input.site, 0, rows.data(), T, input.width);
  const ValueId end = StreamInput(graph_) + 1;
  if (end == 1) return rows;
  State none;
  std::vector<float> encoded;
  OCTET_TRY(RunNodes(1, end, rows, T, &none, tap, &encoded));
  return encoded;
}

namespace {

// One node in floats. Inputs are contiguous [T, width].
class NodeRunner {
 public:
  NodeRunner(const Graph& graph, const WeightMap& weights,
             const std::map<std::string, Floats, std::less<>>& floats, IsaMask isas, S4dMode s4d,
             int64_t T, State* state, Tap* tap)
      : graph_(graph),
        weights_(weights),
        floats_(floats),
        isas_(isas),
        s4d_(s4d),
        T_(T),
        state_(*state),
        tap_(tap) {}

  Status Run(const Node& n, const std::vector<const float*>& in, Floats* out) {
    out->resize(static_cast<size_t>(T_ * n.width));
    switch (n.op) {
      case Op::kRmsNorm:
      case Op::kGatedRmsNorm:
        Norm(n, in, out->data());
        return {};
      case Op::kLinear:
        return Linear(n, in[0], out->data());
      case Op::kSplit:
        Split(n, in[0], out->data());
        return {};
      case Op::kCausalConvSilu:
        Conv(n, in[0], out->data());
        return {};
      case Op::kSoftplus:
        RunKernel(SoftplusArgs{T_, n.width, in[0], n.width,
                               floats_.find(n.weights[0])->second.data(), n.lo, n.hi, out->data()},
                  isas_);
        return {};
      case Op::kSsd:
        Ssd(n, in, out->data());
        return {};
      case Op::kSelectiveScan:
        Scan(n, in, out->data());
        return {};
      case Op::kGate:
        RunKernel(GateArgs{T_, n.width, in[0], n.width, in[1], n.width, out->data()}, isas_);
        return {};
      case Op::kHadamard:
        return Hadamard(n, in[0], out->data());
      case Op::kAdd:
        for (size_t i = 0; i < out->size(); ++i) {
          (*out)[i] = in[0][i] + in[1][i];
        }
        return {};
      case Op::kS4d:
        return S4d(n, in[0], out);
      case Op::kGelu:
        RunKernel(GeluArgs{T_, n.width, n.gelu, in[0], n.width, out->data()}, isas_);
        return {};
      case Op::kGlu:
        RunKernel(GluArgs{T_, n.width, in[0], 2 * n.width, out->data()}, isas_);
        return {};
      case Op::kLayerNorm:
        LayerNorm(n, in[0], out->data());
        return {};
      case Op::kMean:
        RunningMean(in[0], n.width, T_, n.width, state_.position(), state_.sum().data(),
                    out->data());
        return {};
      case Op::kEmbedding:
      case Op::kFrames:
        break;
    }
    return Internal("an input cannot run inside a block");
  }

 private:
  const Floats& Vector(const std::string& name) const { return floats_.find(name)->second; }
  int64_t InWidth(const Node& n, size_t i) const {
    return graph_.nodes[static_cast<size_t>(n.in[i])].width;
  }

  void Norm(const Node& n, const std::vector<const float*>& in, float* out) {
    RmsnormArgs a = NormArgs(n, Vector(n.weights[0]));
    a.T = T_;
    a.x = in[0];
    a.x_stride = n.width;
    a.gate = n.op == Op::kGatedRmsNorm ? in[1] : nullptr;
    a.gate_stride = n.width;
    a.y = out;
    RunKernel(a, isas_);
  }

  Status Linear(const Node& n, const float* in, float* out) {
    const Weight* w = weights_.Find(n.weights[0]);
    Floats decoded;
    LinearArgs a{};
    a.M = T_;
    a.N = n.width;
    a.K = InWidth(n, 0);
    a.n_end = a.N;
    a.x_dtype = DType::kF32;
    a.x = in;
    a.w.dtype = w->dtype;
    a.w.data = w->data;
    if (w->quantized()) {
      decoded = ToF32(*w);
      a.w.dtype = DType::kF32;
      a.w.data = decoded.data();
    }
    const Floats& bias = Vector(n.weights[1]);
    a.bias = bias.empty() ? nullptr : bias.data();
    a.y = out;
    a.y_stride = a.N;
    RunKernel(a, isas_);
    return {};
  }

  void Split(const Node& n, const float* in, float* out) {
    const int64_t stride = InWidth(n, 0);
    for (int64_t t = 0; t < T_; ++t) {
      std::copy_n(in + t * stride + n.offset, n.width, out + t * n.width);
    }
  }

  void Conv(const Node& n, const float* in, float* out) {
    const Floats& bias = Vector(n.weights[1]);
    const std::vector<float> taps = ConvTaps(Vector(n.weights[0]), n.taps);
    ConvHistory& memory = state_.conv(n.layer);
    std::vector<Floats> history;
    std::vector<const float*> rows;
    for (int64_t row = 0; row < memory.rows(); ++row) {
      history.emplace_back(static_cast<size_t>(n.width));
      memory.Load(row, history.back().data());
      rows.push_back(history.back().data());
    }
    Conv1dArgs a{};
    a.T = T_;
    a.C = n.width;
    a.K = n.taps;
    a.x = in;
    a.x_stride = n.width;
    a.taps = taps.data();
    a.bias = bias.empty() ? nullptr : bias.data();
    a.history = rows.data();
    a.y = out;
    RunKernel(a, isas_);
    memory.Push(in, n.width, T_);
  }

  using Watched = Floats;  // the state before its last rounding; empty: an fp32 one shows itself

  Watched WatchState(const Node& n, StateView* h) {
    if (tap_ == nullptr || h->format.codec == StateCodec::kF32) return {};
    Watched values(static_cast<size_t>(n.width * StateSize(n)));
    h->unrounded = values.data();
    return values;  // moved: the memory stays where it is
  }

  void ShowState(const Node& n, Watched* values) {
    if (tap_ == nullptr) return;
    if (values->empty()) *values = state_.Values(n.layer);
    tap_->At(StateSite(n.layer), 0, values->data(), n.width, StateSize(n));
  }

  void Ssd(const Node& n, const std::vector<const float*>& in, float* out) {
    const Floats A = DecayRates(Vector(n.weights[0]));
    SsdArgs a = SsdShapeArgs(n, Vector(n.weights[1]));
    a.head_end = a.H;
    a.x_stride = n.width;
    a.bc_dtype = DType::kF32;
    a.bc_stride = a.G * a.N;
    a.A = A.data();
    a.h = state_.ssm(n.layer);
    Watched watched = WatchState(n, &a.h);
    InnerTap inner{tap_, {}};
    const SsdTap tap{&InnerTap::At, &inner};
    const bool tapped = tap_ != nullptr && tap_->WantsInnerSites();
    if (tapped) {
      const char* names[] = {"x_scaled", "score", "local_state", "state"};
      for (size_t i = 0; i < 4; ++i) {
        inner.names[i] = SsdInnerSite(n.layer, names[i]);
      }
      a.full_score = tap_->WantsFullScore();
    }
    ForEachSsdPart(T_, a.L, [&](int64_t first, int64_t count) {
      SsdArgs part = a;
      part.T = count;
      part.x = in[0] + first * n.width;
      part.dt = in[1] + first * a.H;
      part.B = in[2] + first * a.bc_stride;
      part.C = in[3] + first * a.bc_stride;
      part.y = out + first * n.width;
      part.h.position += first;
      part.tap = tapped && count > 1 ? &tap : nullptr;
      if (part.tap != nullptr && n.ssd.int8 && n.ssd.gate_q7) {
        part.gate_q7_scale = graph_.FindEncoding(SsdInnerSite(n.layer, "state"))->scales.data();
      }
      RunKernel(part, isas_);
    });
    ShowState(n, &watched);
  }

  void Scan(const Node& n, const std::vector<const float*>& in, float* out) {
    const Floats A = DecayRates(Vector(n.weights[0]));
    ScanArgs a = ScanShapeArgs(n, A, Vector(n.weights[1]));
    a.T = T_;
    a.x = in[0];
    a.x_stride = n.width;
    a.dt = in[1];
    a.dt_stride = n.width;
    a.B = in[2];
    a.b_stride = a.N;
    a.C = in[3];
    a.c_stride = a.N;
    a.h = state_.ssm(n.layer);
    a.y = out;
    Watched watched = WatchState(n, &a.h);
    RunKernel(a, isas_);
    ShowState(n, &watched);
  }

  Status S4d(const Node& n, const float* in, Floats* out) {
    const Floats* weights[6] = {};
    for (size_t i = 0; i < 6; ++i) {
      weights[i] = &Vector(n.weights[i]);
    }
    OCTET_ASSIGN(const DiscreteS4d discrete, Discretize(n, weights));
    if (s4d_ == S4dMode::kConvolution) {
      *out = Convolve(discrete, n.s4d.modes, *weights[5], {in, out->size()});
      return {};
    }
    if (tap_ != nullptr &&
        tap_->RunS4d(n, discrete, *weights[5], std::span(in, out->size()), *out)) {
      return {};
    }
    S4dArgs a = S4dShapeArgs(n, discrete, *weights[5]);
    a.T = T_;
    a.u = in;
    a.u_stride = n.width;
    a.x = state_.ssm(n.layer);
    a.y = out->data();
    Watched watched = WatchState(n, &a.x);
    RunKernel(a, isas_);
    ShowState(n, &watched);
    return {};
  }

  void LayerNorm(const Node& n, const float* in, float* out) {
    LayernormArgs a = LayerNormArgs(n, Vector(n.weights[0]), Vector(n.weights[1]));
    a.T = T_;
    a.x = in;
    a.x_stride = n.width;
    a.y = out;
    RunKernel(a, isas_);
  }

  Status Hadamard(const Node& n, const float* in, float* out) {
    HadamardArgs a{};
    a.T = T_;
    OCTET_ASSIGN(a.shape, MakeHadamardShape(n.width, n.hadamard));
    a.x = in;
    a.y = out;
    RunKernel(a, isas_);
    return {};
  }

  const Graph& graph_;
  const WeightMap& weights_;
  const std::map<std::string, Floats, std::less<>>& floats_;
  IsaMask isas_;
  S4dMode s4d_;
  int64_t T_;
  State& state_;
  Tap* tap_;
};

}  // namespace

Status Interpreter::RunNodes(ValueId begin, ValueId end, std::span<const float> input, int64_t T,
                             State* state, Tap* tap, std::vector<float>* output) const {
  NodeRunner runner(graph_, weights_, floats_, isas_, s4d_, T, state, tap);
  std::vector<std::vector<float>> values(static_cast<size_t>(end - begin));
  for (ValueId v = begin; v < end; ++v) {
    const Node& n = graph_.nodes[static_cast<size_t>(v)];
    std::vector<const float*> in;
    for (const ValueId source : n.in) {  // a source outside the range is the residual stream
      in.push_back(source < begin ? input.data()
                                  : values[static_cast<size_t>(source - begin)].data());
    }
    std::vector<float>& out = values[static_cast<size_t>(v - begin)];
    OCTET_TRY(runner.Run(n, in, &out));
    if (tap != nullptr) tap->At(n.site, 0, out.data(), T, n.width);
  }
  *output = std::move(values.back());
  return {};
}

Status Interpreter::RunLayer(int layer, std::vector<float>* residual, State* state,
                             Tap* tap) const {
  const auto [begin, end] = graph_.LayerRange(layer);
  const int64_t T = static_cast<int64_t>(residual->size()) / StreamWidth(graph_);
  std::vector<float> output;
  OCTET_TRY(RunNodes(begin, end, *residual, T, state, tap, &output));
  *residual = std::move(output);
  return {};
}

ValueId Interpreter::Tail() const {
  return graph_.layers == 0 ? 1 : graph_.LayerRange(graph_.layers - 1).second;
}

Result<std::vector<float>> Interpreter::FinalNorm(std::span<const float> residual, Tap* tap) const {
  const int64_t T = static_cast<int64_t>(residual.size()) / StreamWidth(graph_);
  State none(graph_);  // of the blocks, which do not run
  std::vector<float> rows;
  OCTET_TRY(RunNodes(Tail(), graph_.logits, residual, T, &none, tap, &rows));
  return rows;
}

Status Interpreter::Logits(std::span<const float> residual, Tap* tap,
                           std::vector<float>* logits) const {
  const int64_t T = static_cast<int64_t>(residual.size()) / StreamWidth(graph_);
  State none(graph_);
  return RunNodes(Tail(), graph_.logits + 1, residual, T, &none, tap, logits);
}

Status Interpreter::RunStream(std::vector<float> residual, State* state, Tap* tap,
                              std::vector<float>* logits) const {
  const int64_t T = std::ssize(residual) / StreamWidth(graph_);
  for (int layer = 0; layer < graph_.layers; ++layer) {
    OCTET_TRY(RunLayer(layer, &residual, state, tap));
  }
  OCTET_TRY(RunNodes(Tail(), graph_.logits + 1, residual, T, state, tap, logits));
  state->Advance(T);
  return {};
}

Status Interpreter::Run(std::span<const TokenId> tokens, State* state, Tap* tap,
                        std::vector<float>* logits) const {
  OCTET_ASSIGN(std::vector<float> residual, Embed(tokens));
  return RunStream(std::move(residual), state, tap, logits);
}

Status Interpreter::RunFrames(std::span<const float> frames, State* state, Tap* tap,
                              std::vector<float>* logits) const {
  OCTET_ASSIGN(std::vector<float> residual, Encode(frames, tap));
  return RunStream(std::move(residual), state, tap, logits);
}

}  // namespace octet
