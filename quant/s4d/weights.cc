#include "quant/s4d/weights.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "exec/s4d_discretize.h"
#include "tensor/codecs/affine.h"

namespace octet {
namespace {

using Complex = std::complex<double>;

constexpr double kLeastDecay = 1e-6;  // 1 - |A|

// Uniform codes from the smallest to the largest of `values`.
void QuantizeCoordinate(int bits, std::vector<double>* values) {
  const auto [low, high] = std::ranges::minmax(*values);
  const double step = (high - low) / static_cast<double>((int64_t{1} << bits) - 1);
  if (!(step > 0)) return;
  for (double& v : *values) {
    v = low + std::nearbyint((v - low) / step) * step;
  }
}

// Groups of [H, N, 2] or [H, N] elements that share a scale.
int64_t GroupSize(S4dGrain grain, int64_t heads, int64_t per_head, int64_t per_mode) {
  return grain == S4dGrain::kTensor ? heads * per_head
         : grain == S4dGrain::kHead ? per_head
                                    : per_mode;
}

void QuantizeGroups(const S4dCode& plan, int64_t group, std::vector<float>* values) {
  if (plan.bits == 0) return;
  for (size_t begin = 0; begin < values->size(); begin += static_cast<size_t>(group)) {
    const std::span<float> part = std::span(*values).subspan(begin, static_cast<size_t>(group));
    SeenRange range;
    for (const float v : part) {
      range.Include(v);
    }
    const AffineCode code = MakeAffineCode(range, plan.bits, plan.symmetric);
    std::ranges::transform(part, part.begin(), code);
  }
}

void QuantizeA(const S4dPoles& plan, int64_t heads, int64_t modes, std::vector<float>* pairs) {
  if (plan.bits == 0) return;
  if (plan.codec == PoleCodec::kCartesian) {
    return QuantizeGroups({plan.bits, plan.grain, plan.symmetric},
                          GroupSize(plan.grain, heads, 2 * modes, 2), pairs);
  }
  const auto group = static_cast<size_t>(GroupSize(plan.grain, heads, modes, 1));
  std::vector<Complex> poles(pairs->size() / 2);
  for (size_t i = 0; i < poles.size(); ++i) {
    poles[i] = {(*pairs)[2 * i], (*pairs)[2 * i + 1]};
  }
  for (size_t begin = 0; begin < poles.size(); begin += group) {
    QuantizePoles(plan, std::span(poles).subspan(begin, group));
  }
  for (size_t i = 0; i < poles.size(); ++i) {
    (*pairs)[2 * i] = static_cast<float>(poles[i].real());
    (*pairs)[2 * i + 1] = static_cast<float>(poles[i].imag());
  }
}

Status QuantizeNode(const S4dPlan& plan, const WeightMap& weights, Node* n, WeightMap* result) {
  std::vector<float> values[6];
  const std::vector<float>* roles[6];
  for (size_t i = 0; i < 6; ++i) {
    if (!n->weights[i].empty()) values[i] = ToF32(*weights.Find(n->weights[i]));
    roles[i] = &values[i];
  }
  OCTET_ASSIGN(const DiscreteS4d discrete, Discretize(*n, roles));
  const int64_t H = n->width, N = n->s4d.modes;
  S4dCoefficients c{ToPairs(discrete.A, N, 1.0f), ToPairs(discrete.B, N, 1.0f),
                    ToPairs(discrete.C, N, 0.5f), values[5]};
  QuantizeCoefficients(plan, H, N, &c);
  const std::string C = n->weights[4], prefix = C.substr(0, C.size() - 1), D = n->weights[5];
  n->s4d.discretization = Discretization::kNone;
  n->weights = {"", prefix + "A", "", prefix + "B", C, D};
  result->Set(prefix + "A", MakeWeight(std::move(c.A), {H, N, 2}));
  result->Set(prefix + "B", MakeWeight(std::move(c.B), {H, N, 2}));
  result->Set(C, MakeWeight(std::move(c.C), {H, N, 2}));
  result->Set(D, MakeWeight(std::move(c.D), {H}));
  return {};
}

}  // namespace

void QuantizePoles(const S4dPoles& plan, std::span<Complex> poles) {
  std::vector<double> radius, phase;
  const bool logarithmic = plan.codec == PoleCodec::kLogPolar;
  for (const Complex& a : poles) {
    const double r = std::abs(a);
    radius.push_back(logarithmic ? std::log(std::max(1 - r, kLeastDecay)) : r);
    phase.push_back(std::arg(a));
  }
  QuantizeCoordinate(plan.bits, &radius);
  QuantizeCoordinate(plan.phase_bits, &phase);
  for (size_t i = 0; i < poles.size(); ++i) {
    const double r = logarithmic ? -std::expm1(radius[i]) : radius[i];
    poles[i] = std::polar(std::max(r, 0.0), phase[i]);
  }
}

void QuantizeCoefficients(const S4dPlan& layer, int64_t heads, int64_t modes, S4dCoefficients* c) {
  QuantizeA(layer.A, heads, modes, &c->A);
  QuantizeGroups(layer.B, GroupSize(layer.B.grain, heads, 2 * modes, 2), &c->B);
  QuantizeGroups(layer.C, GroupSize(layer.C.grain, heads, 2 * modes, 2), &c->C);
  QuantizeGroups(layer.D, heads, &c->D);
}

void QuantizeMatrix(const S4dPlan& plan, std::string_view site, int64_t columns,
                    std::vector<float>* values) {
  S4dCode code = plan.linears;
  code.bits = BitsOf(plan, site);
  const int64_t group = code.grain == S4dGrain::kTensor ? std::ssize(*values) : columns;
  QuantizeGroups(code, group, values);
}

Result<S4dWeights> QuantizeS4dWeights(const Graph& graph, const WeightMap& weights,
                                      const S4dPlan& plan) {
  OCTET_TRY(Check(plan, graph));
  S4dWeights result{graph, weights};
  for (Node& n : result.graph.nodes) {
    if (n.op == Op::kS4d) {
      OCTET_TRY(QuantizeNode(PlanOfLayer(plan, n.layer), weights, &n, &result.weights));
    }
    if (n.op == Op::kGelu && plan.piecewise_gelu) n.gelu = GeluForm::kPiecewise;
    if (n.op != Op::kLinear) continue;
    const Weight& w = *weights.Find(n.weights[0]);
    std::vector<float> values = ToF32(w);
    QuantizeMatrix(plan, n.site, w.columns(), &values);
    result.weights.Set(n.weights[0], MakeWeight(std::move(values), w.shape));
  }
  return result;
}

}  // namespace octet
