#include "kernels/peak.h"

#include <arm_neon.h>

#include <cstdint>

#include "kernels/cpu.h"
#include "kernels/kernel.h"

namespace octet {
namespace {

#include "kernels/peak-inl.h"

struct I8mmDots {
  static constexpr int kLanes = 4, kProducts = 8;
  static int32x4_t Set(int32_t v) { return vdupq_n_s32(v); }
  static int8x16_t SetI8(int8_t v) { return vdupq_n_s8(v); }
  static int32x4_t Dot(int32x4_t sums, int8x16_t x, int8x16_t y) { return vmmlaq_s32(sums, x, y); }
  static void Store(int32_t* p, int32x4_t sums) { vst1q_s32(p, sums); }
};

const char* WhyNot(const PeakArgs& a) {
  if (a.unit != PeakUnit::kI8) return "it computes dot products of codes";
  return CpuHas(CpuFeature::kI8mm) ? nullptr : "the processor has no smmla";
}

}  // namespace

extern const Kernel<PeakArgs> kPeakI8mm = {
    "peak/i8mm", Isa::kI8mm, 30, PeakDots<I8mmDots>::Run, WhyNot, PeakDots<I8mmDots>::ScratchBytes};

}  // namespace octet
