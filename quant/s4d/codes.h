// The codes of an S4D classifier's activations and states, from a plan and calibrated ranges.
#ifndef OCTET_QUANT_S4D_CODES_H_
#define OCTET_QUANT_S4D_CODES_H_

#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "graph/graph.h"
#include "kernels/s4dcode.h"
#include "quant/s4d/plan.h"
#include "quant/s4d/ranges.h"
#include "tensor/codecs/affine.h"

namespace octet {

using S4dCodes = std::vector<AffineCode>;

// The code of each element of [heads, per_head], whose ranges are `seen`.
S4dCodes CodesOf(const std::vector<SeenRange>& seen, size_t heads, S4dGrain grain, int bits,
                 bool symmetric);

// An activation's width, and its codes where they are static: one, or one per head.
struct S4dSiteCodes {
  int bits = 0;  // 0: float
  S4dCodes fixed;
};

// What one S4d node needs, by head or by (head, mode).
struct S4dLayerCodes {
  S4dStatePlan state;
  uint64_t noise_key = 0;
  S4dSiteCodes u, y_ssm, y;  // [H]
  S4dCodes x;                // [H, N], default ones where the state stays in float
};

struct S4dModelCodes {
  std::map<int, S4dLayerCodes> layers;                     // by layer
  std::map<std::string, S4dSiteCodes, std::less<>> sites;  // inputs of linears, [1], by site
};

// kInvalidArgument for a plan that Check refuses, or a static code whose site `ranges` lacks.
Result<S4dModelCodes> CodesOf(const Graph& graph, const S4dPlan& plan, const S4dRanges& ranges);

// y without D u is cut off at +-this before its code (arXiv:2506.12480).
inline constexpr float kLargestY = 1000;

// Arguments of the states of node `n`, but for data: T, u, A, B, C and y are to be set.
template <class Real>
S4dcodeArgsOf<Real> StateArgs(const S4dLayerCodes& codes, const Node& n) {
  const S4dStatePlan& plan = codes.state;
  S4dcodeArgsOf<Real> a{};
  a.H = n.width;
  a.N = n.s4d.modes;
  a.codes = codes.x.data();
  a.dynamic_bits = plan.dynamic ? plan.code.bits : 0;
  a.dynamic_symmetric = plan.code.symmetric;
  a.three_roundings = plan.published;
  a.rounding = plan.rounding;
  a.noise_key = codes.noise_key;
  a.shared_noise = plan.shared_noise;
  a.limit = static_cast<Real>(StateLimit(plan));
  return a;
}

}  // namespace octet
#endif  // OCTET_QUANT_S4D_CODES_H_
