#include "kernels/linear.h"

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu.h"
#include "kernels/kernel.h"
#include "kernels/panels.h"

namespace octet {
namespace {

#include "kernels/panels-inl.h"
#include "kernels/ymm-inl.h"

// Uses both.
#include "kernels/avx2/avx2-inl.h"

const char* WhyNot(const LinearArgs& a) {
  if (!CpuHas(CpuFeature::kAvx2)) return "the processor has no AVX2";
  return WhyNotPanels(a);
}

}  // namespace

extern const Kernel<LinearArgs> kLinearAvx2 = {
    "linear/avx2", Isa::kAvx2, 15, PanelLinear<Avx2>::Run, WhyNot, PanelLinear<Avx2>::ScratchBytes};

}  // namespace octet
