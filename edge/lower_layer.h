// Lowering of the recurrence of an S4d node.
#ifndef OCTET_EDGE_LOWER_LAYER_H_
#define OCTET_EDGE_LOWER_LAYER_H_

#include <span>
#include <vector>

#include "base/status.h"
#include "edge/integer_s4d.h"
#include "edge/sites.h"
#include "exec/s4d_discretize.h"

namespace octet {

// What a layer is folded from: the decoded coefficients and the codes of the simulation.
struct FloatLayer {
  const Node* node = nullptr;
  DiscreteS4d s;                        // as kernels/s4d.h has it
  std::vector<float> D;                 // [H]
  std::vector<AffineCode> u, y_ssm, y;  // [H]; y_ssm may be empty
  std::vector<AffineCode> x;            // [H, N]
};

// Of a float layer with all codes, everything but the linears and the table of GELU. `stream_unit`:
// what 1 of the residual stream stands for, which stays within +-2^30. kInvalidArgument, naming
// site, head and mode, for integers that could overflow.
Result<IntegerLayer> LowerRecurrence(const FloatLayer& layer, const S4dStatePlan& state,
                                     double stream_unit);

}  // namespace octet
#endif  // OCTET_EDGE_LOWER_LAYER_H_
