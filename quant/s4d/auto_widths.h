// A width for each tensor of an S4D classifier that serves it best under a limit.
#ifndef OCTET_QUANT_S4D_AUTO_WIDTHS_H_
#define OCTET_QUANT_S4D_AUTO_WIDTHS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "base/status.h"
#include "quant/context.h"
#include "quant/s4d/mean_kl.h"
#include "quant/s4d/plan.h"
#include "quant/s4d/sizes.h"
#include "quant/s4d/width_forms.h"

namespace octet {

// Exactly one of the two is set.
struct S4dWidthLimit {
  std::optional<int64_t> budget_bytes;  // the most that S4dSizes::total() may be; > 0
  std::optional<double> max_kl;         // the most that mean KL may be, nats per sequence; > 0
};

// Widths that were measured together.
struct S4dAttempt {
  enum class Kind : uint8_t {
    kBase,      // those of the base plan
    kSmallest,  // the fewest bytes of each tensor
    kWidest,    // the most bits of each tensor
    kSolved,    // by quant/allocate.h
    kRaised,    // an attempt beyond the KL, with one more tensor raised
    kRefined    // the best so far, with one tensor changed
  };
  Kind kind = Kind::kBase;
  S4dSizes sizes;
  double kl = 0;
};

struct S4dAllocation {
  S4dPlan plan;  // the base plan with a width of its own for each tensor below
  std::vector<S4dTensorForms> tensors;
  S4dAttempt base, winner;
  std::vector<S4dAttempt> attempts;  // in their order
};

// Widths for what `base` quantizes, from the `forms` that MeasureS4dForms gave for it with the same
// `accounting` and `mean_kl`; all else stays as the base has it. Costs of tensors alone are taken
// to add up, quant/allocate.h solves for them, and what it finds is measured as a whole. What
// follows uses these measurements:
//   budget: where bytes do not add up (padding), it solves for fewer. The best of that and, where
//     it fits, the base is refined: tensor after tensor gets its next width where the budget
//     holds, and keeps it where the KL falls. The least KL wins.
//   max_kl: a solution beyond it is raised, the largest predicted gain per byte first, until it
//     holds. Then the next one, at most four, is solved for the KL that the ratio of measured to
//     predicted suggests. The fewest bytes that hold are refined: tensor after tensor gets its
//     next smaller width, and keeps it where the KL holds.
// Does not depend on the number of threads. kInvalidArgument for a limit that cannot be kept,
// saying what can, or is not one of the two, and without forms; errors of measuring an attempt.
Result<S4dAllocation> AllocateS4dWidths(const S4dPlan& base, const S4dWidthLimit& limit,
                                        std::vector<S4dTensorForms> forms,
                                        const S4dAccounting& accounting, const S4dMeanKl& mean_kl,
                                        const Progress& progress);

}  // namespace octet
#endif  // OCTET_QUANT_S4D_AUTO_WIDTHS_H_
