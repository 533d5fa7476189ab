// What each tensor of an S4D classifier takes and costs in each width.
#ifndef OCTET_QUANT_S4D_WIDTH_FORMS_H_
#define OCTET_QUANT_S4D_WIDTH_FORMS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "quant/context.h"
#include "quant/s4d/mean_kl.h"
#include "quant/s4d/plan.h"
#include "quant/s4d/sizes.h"

namespace octet {

struct S4dWidthList {
  std::vector<int> bits = {2, 3, 4, 5, 6, 7, 8, 10, 12, 16};  // 2 to 16
  int most_of_codes = 8;   // linears and activations get no more; integers run up to 8
  int least_of_state = 4;  // states get no less
};

struct S4dForm {
  int bits = 0;
  int64_t bytes = 0;  // of the tensor
  double kl = 0;      // of it alone, nats per sequence
};

struct S4dTensorForms {
  std::string tensor;
  std::vector<S4dForm> forms;  // of ascending widths
  size_t base = 0;             // the form that the base plan gives it
  size_t chosen = 0;           // by an allocation
};

// The forms of every tensor that `base` quantizes, in the order of S4dTensors; what it keeps in
// float stays so. Bytes are those of `accounting` for `base` with that width; a width that
// `accounting` refuses is left out, the base's own is there in any case. KL is that of a plan that
// quantizes the tensor alone, as `base` does, with the GELU of the model; a polar radius is
// measured with a phase of 16 bits and the phase with such a radius. kInvalidArgument for widths
// out of range; errors of `accounting` for `base`, and of the simulation.
Result<std::vector<S4dTensorForms>> MeasureS4dForms(const S4dPlan& base, const Graph& graph,
                                                    const S4dWidthList& list,
                                                    const S4dAccounting& accounting,
                                                    const S4dMeanKl& mean_kl,
                                                    const Progress& progress);

}  // namespace octet
#endif  // OCTET_QUANT_S4D_WIDTH_FORMS_H_
