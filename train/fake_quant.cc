#include "train/fake_quant.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "quant/s4d/weights.h"

namespace octet {
namespace {

// The paper's code cuts the gradient of its state quantizer off at +-this.
constexpr double kLargestAdjoint = 1000;

// Rounds values whose last index counts the codes, or that share one; "" where there is none.
template <class Real>
void RoundAll(const S4dSiteCodes& codes, std::vector<Real>* values, Held* held) {
  held->clear();
  if (codes.bits == 0) return;
  held->resize(values->size());
  const size_t count = codes.fixed.size();
  for (size_t i = 0; i < values->size(); ++i) {
    Real& v = (*values)[i];
    const AffineCode& code = codes.fixed[count == 1 ? 0 : i % count];
    (*held)[i] = code.Holds(v) ? 1 : 0;
    v = code(v);
  }
}

}  // namespace

Status CheckTrainable(const S4dPlan& plan) {
  if (plan.activations.dynamic || plan.x.dynamic) {
    return Unsupported("codes whose scales are made at run time cannot be trained with");
  }
  if (plan.x.rounding == StateRounding::kFeedback ||
      (plan.x.rounding == StateRounding::kStochastic && !plan.x.shared_noise)) {
    return Unsupported(
        "x: states with error feedback, or noise that modes do not share, cannot be trained with");
  }
  return {};
}

template <class Real>
Result<FakeQuant<Real>> FakeQuant<Real>::Create(const Graph& graph, const S4dQuantization& q) {
  OCTET_TRY(CheckTrainable(q.plan));
  OCTET_ASSIGN(S4dModelCodes codes, CodesOf(graph, q.plan, q.ranges));
  return FakeQuant(q.plan, std::move(codes));
}

template <class Real>
void FakeQuant<Real>::RoundMatrix(const Node& n, int64_t columns, std::vector<Real>* w) const {
  std::vector<float> values(w->begin(), w->end());
  QuantizeMatrix(plan_, n.site, columns, &values);
  if (BitsOf(plan_, n.site) != 0) w->assign(values.begin(), values.end());
}

template <class Real>
void FakeQuant<Real>::RoundCoefficients(const Node& n, S4dPlanes<Real>* p) const {
  const S4dPlan plan = PlanOfLayer(plan_, n.layer);
  const int64_t N = n.s4d.modes;
  const Real one = 1, half = 0.5, two = 2;
  S4dCoefficients c{ToPairs(p->A, N, one),
                    ToPairs(p->B, N, one),
                    ToPairs(p->C, N, half),
                    {p->D.begin(), p->D.end()}};
  QuantizeCoefficients(plan, n.width, N, &c);
  if (plan.A.bits != 0) FromPairs(c.A, N, one, &p->A);
  if (plan.B.bits != 0) FromPairs(c.B, N, one, &p->B);
  if (plan.C.bits != 0) FromPairs(c.C, N, two, &p->C);
  if (plan.D.bits != 0) p->D.assign(c.D.begin(), c.D.end());
}

template <class Real>
void FakeQuant<Real>::RoundResult(const Node& n, std::vector<Real>* values, Held* held) const {
  const auto codes = codes_.sites.find(n.site);
  if (codes != codes_.sites.end()) RoundAll(codes->second, values, held);
}

template <class Real>
S4dcodeArgsOf<Real> FakeQuant<Real>::Args(const Node& n, const S4dPlanes<Real>& p,
                                          const std::vector<Real>& u) const {
  S4dcodeArgsOf<Real> a = StateArgs<Real>(LayerOf(n), n);
  a.T = std::ssize(u) / n.width;
  a.u = u.data();
  a.A = p.A.data();
  a.B = p.B.data();
  a.C = p.C.data();
  return a;
}

template <class Real>
void FakeQuant<Real>::S4d(const Node& n, const S4dPlanes<Real>& p, const std::vector<Real>& x,
                          std::vector<Real>* y, Held* held, Layer* layer,
                          KernelScratch* scratch) const {
  const S4dLayerCodes& codes = LayerOf(n);
  layer->u = x;
  RoundAll(codes.u, &layer->u, &layer->held_u);
  S4dcodeArgsOf<Real> a = Args(n, p, layer->u);
  a.y = y->data();
  TrainOps<Real>::S4dCode(a, scratch);
  Held cut(codes.y_ssm.bits == 0 ? 0 : y->size());
  for (size_t i = 0; i < cut.size(); ++i) {
    constexpr Real kMost = kLargestY;
    cut[i] = std::fabs((*y)[i]) <= kMost;
    (*y)[i] = std::clamp((*y)[i], -kMost, kMost);
  }
  RoundAll(codes.y_ssm, y, &layer->held_ssm);
  for (size_t i = 0; i < cut.size(); ++i) {
    layer->held_ssm[i] &= cut[i];
  }
  const size_t H = p.D.size();
  for (size_t i = 0; i < y->size(); ++i) {
    (*y)[i] += p.D[i % H] * layer->u[i];
  }
  RoundAll(codes.y, y, held);
}

template <class Real>
void FakeQuant<Real>::S4dGradient(const Node& n, const S4dPlanes<Real>& p,
                                  const std::vector<Real>& dy, const Layer& layer,
                                  std::vector<Real>* dx, Real* dA, Real* dB, Real* dC, Real* dD,
                                  KernelScratch* scratch) const {
  const size_t H = p.D.size();
  std::vector<Real> du(dy.size()), d_ssm = dy;
  for (size_t i = 0; i < dy.size(); ++i) {
    dD[i % H] += dy[i] * layer.u[i];
    du[i] = p.D[i % H] * dy[i];
  }
  Mask(layer.held_ssm, &d_ssm);
  S4dcodegradArgsOf<Real> a{};
  a.forward = Args(n, p, layer.u);
  a.dy = d_ssm.data();
  a.adjoint_limit = a.forward.three_roundings ? static_cast<Real>(kLargestAdjoint)
                                              : std::numeric_limits<Real>::infinity();
  a.du = du.data();
  a.dA = dA;
  a.dB = dB;
  a.dC = dC;
  TrainOps<Real>::S4dCodeGradient(a, scratch);
  Mask(layer.held_u, &du);
  std::ranges::transform(du, *dx, dx->begin(), std::plus<Real>());
}

template class FakeQuant<float>;
template class FakeQuant<double>;

}  // namespace octet
