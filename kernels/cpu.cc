#include "kernels/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace octet {
namespace {

constexpr uint32_t Bit(CpuFeature feature) {
  return uint32_t{1} << static_cast<int>(feature);
}

#if defined(__x86_64__)

// Register state that the operating system saves: bits of XCR0.
uint64_t SavedState() {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx >> 27 & 1) == 0) return 0;
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

// Linux keeps no tiles for a process that did not ask (Documentation/arch/x86/xstate.rst).
bool LinuxPermitsTiles() {
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

const char* DetectAmx() {
  constexpr uint32_t kTileAndInt8 = 1u << 24 | 1u << 25;
  constexpr uint64_t kTiles = 3u << 17;
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 ||
      (edx & kTileAndInt8) != kTileAndInt8) {
    return "the processor has no AMX int8";
  }
  if ((SavedState() & kTiles) != kTiles) return "the operating system does not save AMX tiles";
  if (!CpuHas(CpuFeature::kAvx512Vnni)) return "the processor has no AVX-512 VNNI";
  return LinuxPermitsTiles() ? nullptr : "Linux refuses this process AMX tiles";
}

uint32_t Detect() {
  constexpr uint64_t kYmm = 0x6, kZmm = 0xe6;
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return 0;
  const uint64_t saved = SavedState();
  const bool avx2 = (ebx >> 5 & 1) != 0 && (saved & kYmm) == kYmm;
  // F, DQ, BW, VL.
  constexpr uint32_t kAvx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
  const bool avx512 = (ebx & kAvx512) == kAvx512 && (saved & kZmm) == kZmm;
  uint32_t features = avx2 ? Bit(CpuFeature::kAvx2) : 0;
  if (avx512 && (ecx >> 11 & 1) != 0) features |= Bit(CpuFeature::kAvx512Vnni);
  if (avx2 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax >> 4 & 1) != 0) {
    features |= Bit(CpuFeature::kAvxVnni);
  }
  return features;
}

#elif defined(__aarch64__)

uint32_t Detect() {
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) == 0) return 0;
  constexpr unsigned long kI8mm = 1ul << 13;  // HWCAP2_I8MM
  return Bit(CpuFeature::kDotprod) |
         ((getauxval(AT_HWCAP2) & kI8mm) != 0 ? Bit(CpuFeature::kI8mm) : 0);
}

const char* DetectAmx() {
  return "the processor has no AMX int8";
}

#else

uint32_t Detect() {
  return 0;
}

const char* DetectAmx() {
  return "the processor has no AMX int8";
}

#endif

}  // namespace

const char* WhyNoAmx() {
  static const char* const reason = DetectAmx();
  return reason;
}

bool CpuHas(CpuFeature feature) {
  if (feature == CpuFeature::kAmx) return WhyNoAmx() == nullptr;
  static const uint32_t features = Detect();
  return (features & Bit(feature)) != 0;
}

}  // namespace octet
