// The instruction sets that Octet's Highway kernels are compiled for. Include it first of all in
// kernels/hwy/*.cc, before hwy/foreach_target.h.
//
// Only targets with a fused multiply-add: Highway's MulAdd rounds twice on SSE4 and on its scalar
// target, which would break the "same bits from every kernel" contracts. On x86 that leaves AVX2
// and AVX-512 (Highway's AVX3); a processor without AVX2 runs the reference kernels.
#ifndef OCTET_KERNELS_HWY_TARGETS_H_
#define OCTET_KERNELS_HWY_TARGETS_H_

#if defined(__x86_64__)
#define HWY_BASELINE_TARGETS HWY_AVX2  // the static target; chosen at run time only if supported
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)
#elif defined(__aarch64__)
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#endif

#include <cstdint>

#include "hwy/detect_targets.h"
#include "hwy/targets.h"

namespace octet {

// Why no Highway kernel can run here, or null. Every why_not of kernels/hwy/ asks it first.
inline const char* HwyUnavailable() {
  // Asked once: CPUID, which it reads, is slow on virtual machines.
  static const bool available = (hwy::SupportedTargets() & HWY_TARGETS) != 0;
  return available ? nullptr : "the processor has no AVX2 with FMA, or NEON";
}

// For kernels that take every problem, and for those that need no scratch memory.
template <class Args>
const char* WhyNotHwy(const Args&) {
  return HwyUnavailable();
}
template <class Args>
int64_t NoScratch(const Args&) {
  return 0;
}

}  // namespace octet
#endif  // OCTET_KERNELS_HWY_TARGETS_H_
