#include "kernels/linear.h"

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu.h"
#include "kernels/kernel.h"
#include "kernels/panels.h"

namespace octet {
namespace {

#include "kernels/dotprod/vectors-inl.h"
#include "kernels/panels-inl.h"

const char* WhyNot(const LinearArgs& a) {
  if (!CpuHas(CpuFeature::kDotprod)) return "the processor has no sdot";
  return WhyNotPanels(a);
}

}  // namespace

extern const Kernel<LinearArgs> kLinearDotprod = {
    "linear/dotprod",          Isa::kDotprod, 20,
    PanelLinear<Dotprod>::Run, WhyNot,        PanelLinear<Dotprod>::ScratchBytes};

}  // namespace octet
