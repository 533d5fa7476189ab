// What the processor and the operating system allow beyond Highway's targets.
#ifndef OCTET_KERNELS_CPU_H_
#define OCTET_KERNELS_CPU_H_

#include <cstdint>

namespace octet {

enum class CpuFeature : uint8_t {
  kAvx2,
  kAvxVnni,     // AVX2 with the 256-bit vpdpbusd of AVX-VNNI
  kAvx512Vnni,  // AVX-512 F, BW, VL, DQ and VNNI
  kAmx,         // tiles of AMX and their int8 products, and kAvx512Vnni
  kDotprod,     // Arm's sdot
  kI8mm,        // Arm's usmmla, and kDotprod
};

// Asked of the processor once.
bool CpuHas(CpuFeature feature);

// Null where CpuHas(kAmx), else why not. Linux gives a process tiles only when asked, and may
// refuse; the first call of either function asks.
const char* WhyNoAmx();

}  // namespace octet
#endif  // OCTET_KERNELS_CPU_H_
