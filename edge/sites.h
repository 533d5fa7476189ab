// The codes that a plan gives to the sites and matrices of an S4D classifier: those of
// S4dSimulation.
#ifndef OCTET_EDGE_SITES_H_
#define OCTET_EDGE_SITES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "graph/graph.h"
#include "quant/s4d/plan.h"
#include "quant/s4d/ranges.h"
#include "tensor/codecs/affine.h"
#include "tensor/weights.h"

namespace octet {

// kUnsupported, naming what to change, for what integers do not do: states in asymmetric or dynamic
// codes, rounded three times (published), with feedback, with noise per mode or with a limit;
// dynamic activations.
Status CheckIntegerPlan(const S4dPlan& plan);

// The code of a site that feeds a linear (FeedsLinear). kUnsupported unless it has 2 to 8 bits;
// kInvalidArgument if `ranges` lacks the site.
Result<AffineCode> CodeOfInput(const S4dPlan& plan, const S4dRanges& ranges,
                               const std::string& site);

// The codes by head of "u", "y_ssm" or "y" of a layer, as the two above; of "y_ssm" an empty list
// if it stays in float.
Result<std::vector<AffineCode>> CodesOfHeads(const S4dPlan& plan, const S4dRanges& ranges,
                                             const Node& s4d, std::string_view what);

// The codes of the state by (head, mode), [H, N]. kUnsupported if it stays in float.
Result<std::vector<AffineCode>> CodesOfState(const S4dPlan& plan, const S4dRanges& ranges,
                                             const Node& s4d);

// A float matrix in codes.
struct MatrixCodes {
  int64_t rows = 0, columns = 0;
  int bits = 0;
  std::vector<int32_t> w;         // [rows, columns]
  std::vector<AffineCode> codes;  // [1 or rows]; scale 0: all codes are 0
};
// Those of the weight of `linear`. kUnsupported unless they have 2 to 8 bits.
Result<MatrixCodes> CodesOfMatrix(const S4dPlan& plan, const WeightMap& weights,
                                  const Node& linear);

// The integer that AffineCode::operator() rounds v to; 0 without codes.
int32_t CodeOf(const AffineCode& code, float v);

}  // namespace octet
#endif  // OCTET_EDGE_SITES_H_
