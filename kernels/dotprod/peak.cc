#include "kernels/peak.h"

#include <arm_neon.h>

#include <cstdint>

#include "kernels/cpu.h"
#include "kernels/kernel.h"

namespace octet {
namespace {

#include "kernels/peak-inl.h"

struct DotprodDots {
  static constexpr int kLanes = 4, kProducts = 4;
  static int32x4_t Set(int32_t v) { return vdupq_n_s32(v); }
  static int8x16_t SetI8(int8_t v) { return vdupq_n_s8(v); }
  static int32x4_t Dot(int32x4_t sums, int8x16_t x, int8x16_t y) { return vdotq_s32(sums, x, y); }
  static void Store(int32_t* p, int32x4_t sums) { vst1q_s32(p, sums); }
};

const char* WhyNot(const PeakArgs& a) {
  if (a.unit != PeakUnit::kI8) return "it computes dot products of codes";
  return CpuHas(CpuFeature::kDotprod) ? nullptr : "the processor has no sdot";
}

}  // namespace

extern const Kernel<PeakArgs> kPeakDotprod = {"peak/dotprod",
                                              Isa::kDotprod,
                                              20,
                                              PeakDots<DotprodDots>::Run,
                                              WhyNot,
                                              PeakDots<DotprodDots>::ScratchBytes};

}  // namespace octet
