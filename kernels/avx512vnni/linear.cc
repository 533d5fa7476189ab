#include "kernels/linear.h"

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu.h"
#include "kernels/kernel.h"
#include "kernels/panels.h"

namespace octet {
namespace {

#include "kernels/avx512vnni/vectors-inl.h"
#include "kernels/panels-inl.h"

const char* WhyNot(const LinearArgs& a) {
  if (!CpuHas(CpuFeature::kAvx512Vnni)) return "the processor has no AVX-512 VNNI";
  return WhyNotPanels(a);
}

}  // namespace

extern const Kernel<LinearArgs> kLinearAvx512vnni = {
    "linear/avx512vnni",          Isa::kAvx512Vnni, 30,
    PanelLinear<Avx512Vnni>::Run, WhyNot,           PanelLinear<Avx512Vnni>::ScratchBytes};

}  // namespace octet
