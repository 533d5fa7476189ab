// The sensitivity table of arXiv:2506.12480 (its figure 2): what is quantized alone, and how.
#ifndef OCTET_QUANT_S4D_SENSITIVITY_H_
#define OCTET_QUANT_S4D_SENSITIVITY_H_

#include <span>

#include "quant/s4d/plan.h"

namespace octet {

struct S4dVariant {
  const char* name;
  bool published;  // a row of the paper; the others are Octet's
  S4dPlan (*plan)(int bits);
};

// In the order of the table. Static, per head and asymmetric unless the name says otherwise. `bits`
// is 2 to 16; those of A are per coordinate, polar ones 4 for the radius and `bits` for the phase.
std::span<const S4dVariant> S4dVariants();

}  // namespace octet
#endif  // OCTET_QUANT_S4D_SENSITIVITY_H_
