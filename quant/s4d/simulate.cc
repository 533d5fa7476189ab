#include "quant/s4d/simulate.h"

#include <algorithm>
#include <utility>

#include "base/buffer.h"
#include "exec/interpreter.h"
#include "kernels/isa.h"
#include "kernels/table.h"
#include "quant/s4d/codes.h"
#include "quant/s4d/weights.h"

namespace octet {
namespace {

// One S4d node over a sequence: y without D u, [T, H], of u quantized.
std::vector<float> RunStates(const S4dLayerCodes& codes, const Node& n, const DiscreteS4d& s,
                             std::span<const float> u) {
  std::vector<float> y(u.size());
  S4dcodeArgs a = StateArgs<float>(codes, n);
  a.T = std::ssize(u) / n.width;
  a.u = u.data();
  a.A = s.A.data();
  a.B = s.B.data();
  a.C = s.C.data();
  a.y = y.data();
  const Kernel<S4dcodeArgs>& kernel = Kernels<S4dcodeArgs>().Pick(a, AllowedIsas());
  Buffer scratch(kernel.scratch_bytes(a));
  kernel.run(a, {scratch.data()});
  return y;
}

}  // namespace

struct S4dSimulation::Impl {
  S4dPlan plan;
  S4dWeights model;
  S4dModelCodes codes;
  std::unique_ptr<const Interpreter> interpreter;
};

namespace {

// Quantizes at the sites of the graph and runs the S4d nodes itself.
template <class Impl>
class SimulatingTap : public Tap {
 public:
  explicit SimulatingTap(const Impl& impl) : impl_(impl) {}

  void At(std::string_view site, int64_t, float* values, int64_t rows, int64_t cols) override {
    if (!FeedsLinear(site)) return;
    const S4dSiteCodes& codes = impl_.codes.sites.find(site)->second;
    if (codes.bits == 0) return;
    const std::span<float> all(values, static_cast<size_t>(rows * cols));
    // The mean is shown after every frame, but read after the last.
    const std::span<float> read = site == "mean" ? all.last(static_cast<size_t>(cols)) : all;
    const AffineCode code =
        impl_.plan.activations.dynamic ? CodeOf(read, codes.bits) : codes.fixed.front();
    std::ranges::transform(all, all.begin(), code);
  }

  bool RunS4d(const Node& n, const DiscreteS4d& s, std::span<const float> D,
              std::span<const float> given, std::span<float> y) override {
    const int64_t H = n.width;
    const S4dLayerCodes& codes = impl_.codes.layers.find(n.layer)->second;
    std::vector<float> u(given.begin(), given.end());
    Quantize(codes.u, H, u);
    std::vector<float> y_ssm = RunStates(codes, n, s, u);
    if (codes.y_ssm.bits != 0) {
      for (float& v : y_ssm) {
        v = std::clamp(v, -kLargestY, kLargestY);
      }
    }
    Quantize(codes.y_ssm, H, y_ssm);
    for (size_t i = 0; i < y.size(); ++i) {
      y[i] = y_ssm[i] + D[i % static_cast<size_t>(H)] * u[i];
    }
    Quantize(codes.y, H, y);
    return true;
  }

 private:
  AffineCode CodeOf(std::span<const float> values, int bits) const {
    SeenRange range;
    for (const float v : values) {
      range.Include(v);
    }
    return MakeAffineCode(range, bits, impl_.plan.activations.symmetric);
  }

  void Quantize(const S4dSiteCodes& site, int64_t heads, std::span<float> values) const {
    const S4dActivations& plan = impl_.plan.activations;
    if (site.bits == 0) return;
    const auto H = static_cast<size_t>(heads);
    S4dCodes codes = site.fixed;
    if (plan.dynamic) {
      std::vector<SeenRange> seen(H);
      for (size_t i = 0; i < values.size(); ++i) {
        seen[i % H].Include(values[i]);
      }
      codes = CodesOf(seen, H, plan.per_tensor ? S4dGrain::kTensor : S4dGrain::kHead, site.bits,
                      plan.symmetric);
    }
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = codes[i % H](values[i]);
    }
  }

  const Impl& impl_;
};

}  // namespace

S4dSimulation::S4dSimulation(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
S4dSimulation::S4dSimulation(S4dSimulation&&) noexcept = default;
S4dSimulation::~S4dSimulation() = default;

Result<S4dSimulation> S4dSimulation::Create(const Graph& graph, const WeightMap& weights,
                                            const S4dPlan& plan, const S4dRanges& ranges) {
  auto impl = std::make_unique<Impl>();
  impl->plan = plan;
  OCTET_ASSIGN(impl->model, QuantizeS4dWeights(graph, weights, plan));
  OCTET_ASSIGN(impl->codes, CodesOf(graph, plan, ranges));
  impl->interpreter =
      std::make_unique<const Interpreter>(impl->model.graph, impl->model.weights, AllowedIsas());
  return S4dSimulation(std::move(impl));
}

Result<std::vector<float>> S4dSimulation::Run(std::span<const float> frames) const {
  SimulatingTap tap(*impl_);
  State state(impl_->model.graph);
  std::vector<float> logits;
  OCTET_TRY(impl_->interpreter->RunFrames(frames, &state, &tap, &logits));
  const auto classes = static_cast<size_t>(impl_->model.graph.vocab_rows);
  if (logits.empty()) return InvalidArgument("there is no frame to run");
  return std::vector<float>(logits.end() - static_cast<int64_t>(classes), logits.end());
}

}  // namespace octet
