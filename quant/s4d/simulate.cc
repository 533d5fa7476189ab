#include "quant/s4d/simulate.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "base/buffer.h"
#include "exec/interpreter.h"
#include "kernels/isa.h"
#include "kernels/s4dcode.h"
#include "kernels/table.h"
#include "quant/s4d/weights.h"

namespace octet {
namespace {

constexpr float kLargestY = 1000;

using Codes = std::vector<AffineCode>;

// The code of each element of [heads, per_head], whose ranges are `seen`.
Codes CodesOf(const std::vector<SeenRange>& seen, size_t heads, S4dGrain grain, int bits,
              bool symmetric) {
  const size_t per_head = seen.size() / heads;
  const size_t group = grain == S4dGrain::kTensor ? seen.size()
                       : grain == S4dGrain::kHead ? per_head
                                                  : 1;
  Codes codes;
  for (size_t begin = 0; begin < seen.size(); begin += group) {
    SeenRange range;
    for (size_t i = begin; i < begin + group; ++i) {
      range.Include(seen[i]);
    }
    codes.insert(codes.end(), group, MakeAffineCode(range, bits, symmetric));
  }
  return codes;
}

// An activation's width, and its codes where they are static.
struct SiteCodes {
  int bits = 0;
  Codes fixed;
};

// What one S4d node needs, by head or by (head, mode).
struct LayerCodes {
  S4dStatePlan state;
  SiteCodes u, y_ssm, y;  // [H]
  Codes x;                // [H, N], default ones where the state stays in float
};

// One S4d node over a sequence: y without D u, [T, H], of u quantized.
std::vector<float> RunStates(const LayerCodes& codes, const Node& n, const DiscreteS4d& s,
                             std::span<const float> u) {
  const S4dStatePlan& plan = codes.state;
  std::vector<float> y(u.size());
  S4dcodeArgs a{};
  a.T = std::ssize(u) / n.width;
  a.H = n.width;
  a.N = n.s4d.modes;
  a.u = u.data();
  a.A = s.A.data();
  a.B = s.B.data();
  a.C = s.C.data();
  a.codes = codes.x.data();
  if (plan.dynamic) a.dynamic_bits = plan.code.bits;
  a.dynamic_symmetric = plan.code.symmetric;
  a.three_roundings = plan.published;
  a.rounding = plan.rounding;
  a.noise_key = NoiseKey(plan.seed, n.layer);
  a.shared_noise = plan.shared_noise;
  a.limit = StateLimit(plan);
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
  std::map<int, LayerCodes> layers;
  std::map<std::string, SiteCodes, std::less<>> sites;  // inputs of linears, [1]
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
    const SiteCodes& codes = impl_.sites.find(site)->second;
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
    const LayerCodes& codes = impl_.layers.find(n.layer)->second;
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

  void Quantize(const SiteCodes& site, int64_t heads, std::span<float> values) const {
    const S4dActivations& plan = impl_.plan.activations;
    if (site.bits == 0) return;
    const auto H = static_cast<size_t>(heads);
    Codes codes = site.fixed;
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

Result<std::vector<SeenRange>> Find(const S4dRanges& ranges, const std::string& site) {
  const auto it = ranges.find(site);
  if (it == ranges.end()) return InvalidArgument(site + ": calibration has not seen this site");
  return it->second;
}

// kHead: each value of the site has a scale of its own; kTensor: all share one.
Result<SiteCodes> CodesOfSite(const S4dPlan& plan, const std::string& site, S4dGrain grain,
                              const S4dRanges& ranges) {
  SiteCodes codes{BitsOf(plan, site), {}};
  if (codes.bits == 0 || plan.activations.dynamic) return codes;
  OCTET_ASSIGN(const std::vector<SeenRange> seen, Find(ranges, site));
  codes.fixed = CodesOf(seen, seen.size(), grain, codes.bits, plan.activations.symmetric);
  return codes;
}

Result<LayerCodes> CodesOfLayer(const S4dPlan& plan, const Node& n, const S4dRanges& ranges) {
  const auto H = static_cast<size_t>(n.width);
  const auto site = [&](const char* what) { return S4dRangeSite(n.layer, what); };
  const S4dGrain grain = plan.activations.per_tensor ? S4dGrain::kTensor : S4dGrain::kHead;
  LayerCodes codes;
  codes.state = PlanOfLayer(plan, n.layer).x;
  OCTET_ASSIGN(codes.u, CodesOfSite(plan, site("u"), grain, ranges));
  OCTET_ASSIGN(codes.y_ssm, CodesOfSite(plan, site("y_ssm"), grain, ranges));
  OCTET_ASSIGN(codes.y, CodesOfSite(plan, site("y"), grain, ranges));
  codes.x.resize(H * static_cast<size_t>(n.s4d.modes));
  const S4dCode& x = codes.state.code;
  if (x.bits != 0 && !codes.state.dynamic) {
    OCTET_ASSIGN(const std::vector<SeenRange> seen, Find(ranges, site("x")));
    codes.x = CodesOf(seen, H, x.grain, x.bits, x.symmetric);
  }
  return codes;
}

}  // namespace

S4dSimulation::S4dSimulation(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
S4dSimulation::S4dSimulation(S4dSimulation&&) noexcept = default;
S4dSimulation::~S4dSimulation() = default;

Result<S4dSimulation> S4dSimulation::Create(const Graph& graph, const WeightMap& weights,
                                            const S4dPlan& plan, const S4dRanges& ranges) {
  auto impl = std::make_unique<Impl>();
  impl->plan = plan;
  OCTET_ASSIGN(impl->model, QuantizeS4dWeights(graph, weights, plan));
  for (const Node& n : graph.nodes) {
    if (n.op == Op::kS4d) {
      OCTET_ASSIGN(impl->layers[n.layer], CodesOfLayer(plan, n, ranges));
    }
    if (!FeedsLinear(n.site)) continue;
    OCTET_ASSIGN(impl->sites[n.site], CodesOfSite(plan, n.site, S4dGrain::kTensor, ranges));
  }
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
