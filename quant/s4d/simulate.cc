#include "quant/s4d/simulate.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "exec/interpreter.h"
#include "kernels/isa.h"
#include "kernels/ssd_state.h"
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

// The state of one head, its modes side by side so that loops over them become vectors.
class HeadState {
 public:
  HeadState(const S4dStatePlan& plan, const DiscreteS4d& s, int layer, int64_t modes, int64_t h,
            std::span<const AffineCode> codes)
      : plan_(plan),
        N_(static_cast<size_t>(modes)),
        A_(s.A.data() + static_cast<size_t>(h) * 2 * N_),
        B_(s.B.data() + static_cast<size_t>(h) * 2 * N_),
        C_(s.C.data() + static_cast<size_t>(h) * 2 * N_),
        key_(NoiseKey(plan.seed, layer)),
        head_(h),
        x_(2 * N_),
        decayed_(2 * N_),
        added_(2 * N_) {
    for (const AffineCode& c : codes) {
      codes_.push_back(c);
    }
  }

  // Takes in u of step t; the contribution of the state to y.
  float Step(float u, int64_t t) {
    const float *re = x_.data(), *im = re + N_;
    for (size_t n = 0; n < N_; ++n) {
      decayed_[n] = A_[n] * re[n] - A_[N_ + n] * im[n];
      decayed_[N_ + n] = A_[n] * im[n] + A_[N_ + n] * re[n];
      added_[n] = B_[n] * u;
      added_[N_ + n] = B_[N_ + n] * u;
    }
    if (plan_.code.bits != 0 && plan_.published) {
      Round(&decayed_, t);
      Round(&added_, t);
    }
    for (size_t i = 0; i < 2 * N_; ++i) {
      x_[i] = decayed_[i] + added_[i];
    }
    if (plan_.published) {
      const float y = Output();
      Store(t);
      return y;
    }
    Store(t);
    return Output();
  }

 private:
  float Output() const {
    float y = 0;
    for (size_t n = 0; n < N_; ++n) {
      y += C_[n] * x_[n] - C_[N_ + n] * x_[N_ + n];
    }
    return y;
  }

  void Store(int64_t t) {
    if (plan_.code.bits != 0) Round(&x_, t);
    if (plan_.limit == 0) return;
    for (float& v : x_) {
      v = std::clamp(v, -plan_.limit, plan_.limit);
    }
  }

  void Round(std::vector<float>* values, int64_t t) {
    if (plan_.dynamic) {
      SeenRange range;
      for (const float v : *values) {
        range.Include(v);
      }
      codes_.assign(N_, MakeAffineCode(range, plan_.code.bits, plan_.code.symmetric));
    }
    float* v = values->data();
    switch (plan_.rounding) {
      case StateRounding::kNearest:
        for (size_t n = 0; n < N_; ++n) {
          v[n] = codes_[n](v[n]);
          v[N_ + n] = codes_[n](v[N_ + n]);
        }
        return;
      case StateRounding::kStochastic:
        Dither(RowNoise(key_, t, head_), v);
        return;
      case StateRounding::kFeedback:
        for (size_t n = 0; n < N_; ++n) {
          v[n] = WithResidual(codes_[n], v[n]);
          v[N_ + n] = WithResidual(codes_[n], v[N_ + n]);
        }
        return;
    }
  }

  void Dither(const RowNoise& noise, float* v) {
    constexpr uint64_t kMask = 0x7fff;
    const auto number = [](uint64_t bits) { return static_cast<float>(bits & kMask) * 0x1.0p-15f; };
    const float re = number(noise.bits), im = number(noise.bits >> 15);
    for (size_t n = 0; n < N_; ++n) {
      const uint32_t own = plan_.shared_noise ? 0 : NoiseAt(noise, static_cast<int64_t>(n));
      v[n] = Dithered(codes_[n], v[n], plan_.shared_noise ? re : number(own));
      v[N_ + n] = Dithered(codes_[n], v[N_ + n], plan_.shared_noise ? im : number(own >> 15));
    }
  }

  static float Dithered(const AffineCode& code, float v, float random) {
    if (code.scale == 0) return v;
    const float t = std::clamp(v / code.scale, code.low, code.high) + random;
    const float nearest = RoundHalfEven(t);
    const float below = nearest - (nearest > t ? 1.0f : 0.0f);
    return std::min(below, code.high) * code.scale;
  }

  // A code and sixteenths of it from -8 to 7.
  static float WithResidual(const AffineCode& code, float v) {
    if (code.scale == 0) return v;
    const float t = std::clamp(16 * (v / code.scale), 16 * code.low - 8, 16 * code.high + 7);
    return RoundHalfEven(t) * code.scale / 16;
  }

  const S4dStatePlan& plan_;
  size_t N_;
  const float *A_, *B_, *C_;
  uint64_t key_;
  int64_t head_;
  Codes codes_;  // [N]
  std::vector<float> x_, decayed_, added_;
};

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
    const int64_t H = n.width, T = std::ssize(given) / H;
    const LayerCodes& codes = impl_.layers.find(n.layer)->second;
    std::vector<float> u(given.begin(), given.end()), y_ssm(u.size());
    Quantize(codes.u, H, u);
    for (int64_t h = 0; h < H; ++h) {
      const auto first = static_cast<size_t>(h * n.s4d.modes);
      HeadState state(codes.state, s, n.layer, n.s4d.modes, h,
                      std::span(codes.x).subspan(first, static_cast<size_t>(n.s4d.modes)));
      for (int64_t t = 0; t < T; ++t) {
        const auto at = static_cast<size_t>(t * H + h);
        y_ssm[at] = state.Step(u[at], t);
      }
    }
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
