#include "edge/sites.h"

#include <algorithm>
#include <span>

#include <fmt/format.h>

namespace octet {
namespace {

Result<std::vector<SeenRange>> Find(const S4dRanges& ranges, std::string_view site) {
  const auto it = ranges.find(site);
  if (it == ranges.end()) {
    return InvalidArgument(fmt::format("{}: calibration has not seen this site", site));
  }
  return it->second;
}

// MakeAffineCode with a scale of 0 for kZeroCode: sums that it enters are their bias alone.
AffineCode IntegerCode(const SeenRange& range, int bits, bool symmetric) {
  const AffineCode code = MakeAffineCode(range, bits, symmetric);
  return code == kZeroCode ? AffineCode() : code;
}

// The code of each range when groups of `group` neighbours share one.
std::vector<AffineCode> CodesOf(std::span<const SeenRange> seen, size_t group, int bits,
                                bool symmetric) {
  std::vector<AffineCode> codes;
  for (size_t begin = 0; begin < seen.size(); begin += group) {
    SeenRange range;
    for (const SeenRange& r : seen.subspan(begin, group)) {
      range.Include(r);
    }
    codes.insert(codes.end(), group, IntegerCode(range, bits, symmetric));
  }
  return codes;
}

Status CheckWidth(std::string_view site, int bits) {
  if (bits >= 2 && bits <= 8) return {};
  return Unsupported(fmt::format("{}: integers need a width of 2 to 8 bits here, not {}", site,
                                 bits == 0 ? "float" : std::to_string(bits)));
}

}  // namespace

Status CheckIntegerPlan(const S4dPlan& plan) {
  OCTET_TRY(Check(plan));
  const S4dStatePlan& x = plan.x;
  if (x.dynamic) return Unsupported("x: dynamic scales need divisions; use calibrated ones");
  if (x.published) {
    return Unsupported("x: the published state is rounded three times; round it once");
  }
  if (!x.code.symmetric) return Unsupported("x: asymmetric states; use symmetric codes");
  if (x.limit != 0) return Unsupported("x: a limit; codes have their own, set it to 0");
  if (x.rounding == StateRounding::kFeedback) {
    return Unsupported("x: feedback rounding; use nearest or stochastic");
  }
  if (x.rounding == StateRounding::kStochastic && !x.shared_noise) {
    return Unsupported("x: noise of its own for each mode; let the modes of a head share it");
  }
  if (plan.activations.dynamic) {
    return Unsupported("activations: dynamic scales need divisions; use calibrated ones");
  }
  return {};
}

Result<AffineCode> CodeOfInput(const S4dPlan& plan, const S4dRanges& ranges,
                               const std::string& site) {
  const int bits = BitsOf(plan, site);
  OCTET_TRY(CheckWidth(site, bits));
  OCTET_ASSIGN(const std::vector<SeenRange> seen, Find(ranges, site));
  if (seen.empty()) return InvalidArgument(site + ": calibration has no range of this site");
  return CodesOf(seen, seen.size(), bits, plan.activations.symmetric).front();
}

Result<std::vector<AffineCode>> CodesOfHeads(const S4dPlan& plan, const S4dRanges& ranges,
                                             const Node& s4d, std::string_view what) {
  const std::string site = S4dRangeSite(s4d.layer, what);
  const int bits = BitsOf(plan, site);
  if (what == "y_ssm" && bits == 0) return std::vector<AffineCode>();
  OCTET_TRY(CheckWidth(site, bits));
  OCTET_ASSIGN(const std::vector<SeenRange> seen, Find(ranges, site));
  if (std::ssize(seen) != s4d.width) {
    return InvalidArgument(fmt::format("{}: {} ranges for {} heads", site, seen.size(), s4d.width));
  }
  return CodesOf(seen, plan.activations.per_tensor ? seen.size() : 1, bits,
                 plan.activations.symmetric);
}

Result<std::vector<AffineCode>> CodesOfState(const S4dPlan& plan, const S4dRanges& ranges,
                                             const Node& s4d) {
  const std::string site = S4dRangeSite(s4d.layer, "x");
  const S4dCode code = PlanOfLayer(plan, s4d.layer).x.code;
  if (code.bits == 0) return Unsupported(site + ": a float state; give it 2 to 16 bits");
  OCTET_ASSIGN(const std::vector<SeenRange> seen, Find(ranges, site));
  const int64_t N = s4d.s4d.modes;
  if (std::ssize(seen) != s4d.width * N) {
    return InvalidArgument(
        fmt::format("{}: {} ranges for {} heads of {} modes", site, seen.size(), s4d.width, N));
  }
  const size_t group = code.grain == S4dGrain::kTensor ? seen.size()
                       : code.grain == S4dGrain::kHead ? static_cast<size_t>(N)
                                                       : 1;
  return CodesOf(seen, group, code.bits, true);
}

Result<MatrixCodes> CodesOfMatrix(const S4dPlan& plan, const WeightMap& weights,
                                  const Node& linear) {
  S4dCode code_plan = plan.linears;
  code_plan.bits = BitsOf(plan, linear.site);
  OCTET_TRY(CheckWidth(linear.site, code_plan.bits));
  OCTET_ASSIGN(const Weight w, weights.Get(linear.weights[0]));
  const std::vector<float> values = ToF32(w);
  MatrixCodes m{w.rows(), w.columns(), code_plan.bits, {}, {}};
  const bool whole = code_plan.grain == S4dGrain::kTensor;
  const auto group = static_cast<size_t>(whole ? w.count() : w.columns());
  for (size_t begin = 0; begin < values.size(); begin += group) {
    SeenRange range;
    for (size_t i = begin; i < begin + group; ++i) {
      range.Include(values[i]);
    }
    m.codes.push_back(IntegerCode(range, code_plan.bits, code_plan.symmetric));
    for (size_t i = begin; i < begin + group; ++i) {
      m.w.push_back(CodeOf(m.codes.back(), values[i]));
    }
  }
  return m;
}

int32_t CodeOf(const AffineCode& code, float v) {
  if (code.scale == 0) return 0;
  return static_cast<int32_t>(RoundHalfEven(std::clamp(code.Place(v), code.low, code.high)));
}

}  // namespace octet
