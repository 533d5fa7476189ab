#include "quant/s4d/codes.h"

namespace octet {
namespace {

Result<std::vector<SeenRange>> Find(const S4dRanges& ranges, const std::string& site) {
  const auto it = ranges.find(site);
  if (it == ranges.end()) return InvalidArgument(site + ": calibration has not seen this site");
  return it->second;
}

// kHead: each value of the site has a scale of its own; kTensor: all share one.
Result<S4dSiteCodes> CodesOfSite(const S4dPlan& plan, const std::string& site, S4dGrain grain,
                                 const S4dRanges& ranges) {
  S4dSiteCodes codes{BitsOf(plan, site), {}};
  if (codes.bits == 0 || plan.activations.dynamic) return codes;
  OCTET_ASSIGN(const std::vector<SeenRange> seen, Find(ranges, site));
  codes.fixed = CodesOf(seen, seen.size(), grain, codes.bits, plan.activations.symmetric);
  return codes;
}

Result<S4dLayerCodes> CodesOfLayer(const S4dPlan& plan, const Node& n, const S4dRanges& ranges) {
  const auto H = static_cast<size_t>(n.width);
  const auto site = [&](const char* what) { return S4dRangeSite(n.layer, what); };
  const S4dGrain grain = plan.activations.per_tensor ? S4dGrain::kTensor : S4dGrain::kHead;
  S4dLayerCodes codes;
  codes.state = PlanOfLayer(plan, n.layer).x;
  codes.noise_key = NoiseKey(codes.state.seed, n.layer);
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

S4dCodes CodesOf(const std::vector<SeenRange>& seen, size_t heads, S4dGrain grain, int bits,
                 bool symmetric) {
  const size_t per_head = seen.size() / heads;
  const size_t group = grain == S4dGrain::kTensor ? seen.size()
                       : grain == S4dGrain::kHead ? per_head
                                                  : 1;
  S4dCodes codes;
  for (size_t begin = 0; begin < seen.size(); begin += group) {
    SeenRange range;
    for (size_t i = begin; i < begin + group; ++i) {
      range.Include(seen[i]);
    }
    codes.insert(codes.end(), group, MakeAffineCode(range, bits, symmetric));
  }
  return codes;
}

Result<S4dModelCodes> CodesOf(const Graph& graph, const S4dPlan& plan, const S4dRanges& ranges) {
  OCTET_TRY(Check(plan, graph));
  S4dModelCodes codes;
  for (const Node& n : graph.nodes) {
    if (n.op == Op::kS4d) {
      OCTET_ASSIGN(codes.layers[n.layer], CodesOfLayer(plan, n, ranges));
    }
    if (!FeedsLinear(n.site)) continue;
    OCTET_ASSIGN(codes.sites[n.site], CodesOfSite(plan, n.site, S4dGrain::kTensor, ranges));
  }
  return codes;
}

}  // namespace octet
