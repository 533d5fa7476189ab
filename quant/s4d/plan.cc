#include "quant/s4d/plan.h"

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

#include "quant/json_members.h"

namespace octet {
namespace {

constexpr int kMostBits = 16;
constexpr std::array kGrains = {"tensor", "head", "mode"};
constexpr std::array kPoleCodecs = {"cartesian", "polar", "log-polar"};
constexpr std::array kRoundings = {"nearest", "stochastic", "feedback"};

}  // namespace

template <class Visitor>
static void Members(S4dCode& c, Visitor& v) {
  v.Integer("bits", c.bits, 0, kMostBits, "2 to 16; 0: float");
  v.Choice("grain", c.grain, kGrains, "what shares a scale");
  v.Flag("symmetric", c.symmetric, "codes without a zero point");
}

template <class Visitor>
static void Members(S4dPoles& p, Visitor& v) {
  v.Choice("codec", p.codec, kPoleCodecs, "coordinates of the discrete poles");
  v.Integer("bits", p.bits, 0, kMostBits, "of each coordinate; polar: of the radius; 0: float");
  v.Integer("phase_bits", p.phase_bits, 0, kMostBits, "polar: of the phase");
  v.Choice("grain", p.grain, kGrains, "what shares a scale");
  v.Flag("symmetric", p.symmetric, "cartesian: codes without a zero point");
}

template <class Visitor>
static void Members(S4dStatePlan& x, Visitor& v) {
  v.Object("code", x.code, "codes of the state");
  v.Flag("dynamic", x.dynamic, "a scale per head, made anew at every step");
  v.Choice("rounding", x.rounding, kRoundings, "what becomes of the rest below a code");
  v.Integer("seed", x.seed, 0, std::numeric_limits<int64_t>::max(), "of stochastic rounding");
  v.Flag("shared_noise", x.shared_noise, "stochastic: one random word for a head");
  v.Flag("published", x.published, "three roundings a step, as in arXiv:2506.12480");
  v.Number("limit", x.limit, 0, 1e6, "states are cut off at +-limit; 0: they are not");
}

template <class Visitor>
static void Members(S4dActivations& a, Visitor& v) {
  v.Integer("bits", a.bits, 0, kMostBits, "2 to 16; 0: float");
  v.Flag("symmetric", a.symmetric, "codes without a zero point");
  v.Flag("dynamic", a.dynamic, "ranges of the sequence itself");
  v.Flag("per_tensor", a.per_tensor, "one scale for all heads");
}

template <class Visitor>
static void Members(S4dPlan& p, Visitor& v) {
  v.Object("A", p.A, "the discrete poles");
  v.Object("B", p.B, "the discrete input weights");
  v.Object("C", p.C, "the output weights");
  v.Object("D", p.D, "the weights of the skip");
  v.Object("linears", p.linears, "matrices; grain head: a scale per row");
  v.Object("x", p.x, "the recurrent state");
  v.Object("activations", p.activations, "inputs of linears, u and y of the layers");
  v.Flag("piecewise_gelu", p.piecewise_gelu, "x clamp(x + 2, 0, 4) / 4 in place of the GELU");
  v.Integers("widths", p.widths, 0, kMostBits, "bits of single tensors, such as layers.0.x");
}

namespace {

Status CheckBits(std::string_view member, int bits, int least) {
  if (bits == 0 || (bits >= least && bits <= kMostBits)) return {};
  return InvalidArgument(
      fmt::format("{}: {} bits are not 0 (float) or {} to {}", member, bits, least, kMostBits));
}

// The place of a width in the plan; `tensor` is a name of S4dTensors.
int* WidthIn(S4dPlan* plan, std::string_view tensor) {
  const std::string_view last = tensor.substr(tensor.rfind('.') + 1);
  if (tensor.starts_with("layers.")) {
    if (last == "A") return &plan->A.bits;
    if (last == "phase") return &plan->A.phase_bits;
    if (last == "B") return &plan->B.bits;
    if (last == "C") return &plan->C.bits;
    if (last == "D") return &plan->D.bits;
    if (last == "x") return &plan->x.code.bits;
    return last == "z" ? &plan->linears.bits : &plan->activations.bits;
  }
  return last == "frames" || last == "mean" ? &plan->activations.bits : &plan->linears.bits;
}

std::string LayerPrefix(int layer) {
  return fmt::format("layers.{}.", layer);
}

Status CheckMembers(const S4dPlan& plan) {
  const bool polar = plan.A.codec != PoleCodec::kCartesian;
  OCTET_TRY(CheckBits("A", plan.A.bits, polar ? 1 : 2));
  OCTET_TRY(CheckBits("phase of A", plan.A.phase_bits, 1));
  const bool phase = plan.A.phase_bits != 0;
  if (phase != (polar && plan.A.bits != 0)) {
    return InvalidArgument("A: polar coordinates need bits for radius and phase, others have none");
  }
  if (polar && plan.A.symmetric) return InvalidArgument("A: polar codes are not symmetric");
  OCTET_TRY(CheckBits("B", plan.B.bits, 2));
  OCTET_TRY(CheckBits("C", plan.C.bits, 2));
  OCTET_TRY(CheckBits("D", plan.D.bits, 2));
  OCTET_TRY(CheckBits("linears", plan.linears.bits, 2));
  OCTET_TRY(CheckBits("x", plan.x.code.bits, 2));
  OCTET_TRY(CheckBits("activations", plan.activations.bits, 2));
  if (plan.linears.grain == S4dGrain::kMode) {
    return InvalidArgument("linears: have no modes to give scales to");
  }
  if (plan.x.dynamic && plan.x.code.grain != S4dGrain::kHead) {
    return InvalidArgument("x: dynamic scales are per head");
  }
  if (plan.x.rounding != StateRounding::kNearest && (plan.x.published || !plan.x.code.symmetric)) {
    return InvalidArgument("x: only symmetric codes are rounded otherwise than to nearest");
  }
  if (!(plan.x.limit >= 0)) return InvalidArgument("x: the limit must not be negative");
  return {};
}

}  // namespace

float StateLimit(const S4dStatePlan& plan) {
  return plan.limit > 0 ? plan.limit : std::numeric_limits<float>::infinity();
}

std::vector<std::string> S4dTensors(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& n : graph.nodes) {
    if (n.op == Op::kS4d) {
      for (const char* what : {"A", "A.phase", "B", "C", "D", "x", "u", "y_ssm", "y"}) {
        names.push_back(LayerPrefix(n.layer) + what);
      }
    } else if (n.op == Op::kLinear || n.op == Op::kFrames || n.op == Op::kMean ||
               n.op == Op::kGelu) {
      names.push_back(n.site);
    }
  }
  return names;
}

int BitsOf(const S4dPlan& plan, std::string_view tensor) {
  const auto own = plan.widths.find(tensor);
  if (own != plan.widths.end()) return own->second;
  S4dPlan copy = plan;
  return *WidthIn(&copy, tensor);
}

S4dPlan PlanOfLayer(const S4dPlan& plan, int layer) {
  S4dPlan own = plan;
  own.widths.clear();
  for (const char* what : {"A", "A.phase", "B", "C", "D", "x"}) {
    const std::string name = LayerPrefix(layer) + what;
    *WidthIn(&own, name) = BitsOf(plan, name);
  }
  return own;
}

Status Check(const S4dPlan& plan) {
  OCTET_TRY(CheckMembers(plan));
  for (const auto& [tensor, bits] : plan.widths) {
    S4dPlan one = plan;
    *WidthIn(&one, tensor) = bits;
    // Radius and phase are float together or not at all; PlanOfLayer is checked as a whole.
    if (tensor.ends_with(".A") || tensor.ends_with(".phase")) continue;
    const Status s = CheckMembers(one);
    if (!s.ok()) return s.Annotate("widths of " + tensor);
  }
  return {};
}

Status Check(const S4dPlan& plan, const Graph& graph) {
  OCTET_TRY(Check(plan));
  const std::vector<std::string> known = S4dTensors(graph);
  for (const auto& [tensor, bits] : plan.widths) {
    if (std::ranges::find(known, tensor) == known.end()) {
      return InvalidArgument(fmt::format("widths: the model has no tensor {} (it has: {})", tensor,
                                         fmt::join(known, ", ")));
    }
  }
  for (int layer = 0; layer < graph.layers; ++layer) {
    const Status s = CheckMembers(PlanOfLayer(plan, layer));
    if (!s.ok()) return s.Annotate(fmt::format("widths of layer {}", layer));
  }
  return {};
}

Json ToJson(const S4dPlan& plan) {
  return MembersToJson(plan);
}

Status ApplyJson(const Json& j, S4dPlan* plan) {
  OCTET_TRY(MembersFromJson(j, plan));
  return Check(*plan);
}

Json S4dPlanSchema() {
  return MembersSchema<S4dPlan>();
}

}  // namespace octet
