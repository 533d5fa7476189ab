#include "quant/s4d/plan.h"

#include <fmt/format.h>

namespace octet {
namespace {

Status CheckBits(const char* member, int bits, int least) {
  if (bits == 0 || (bits >= least && bits <= 16)) return {};
  return InvalidArgument(
      fmt::format("{}: {} bits are not 0 (float) or {} to 16", member, bits, least));
}

}  // namespace

Status Check(const S4dPlan& plan) {
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

}  // namespace octet
