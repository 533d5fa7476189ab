#include "kernels/peak.h"

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu.h"
#include "kernels/kernel.h"

namespace octet {
namespace {

#include "kernels/peak-inl.h"

struct Avx512vnniDots {
  static constexpr int kLanes = 16, kProducts = 4;
  static __m512i Set(int32_t v) { return _mm512_set1_epi32(v); }
  static __m512i SetI8(int8_t v) { return _mm512_set1_epi8(v); }
  static __m512i Dot(__m512i sums, __m512i x, __m512i y) { return _mm512_dpbusd_epi32(sums, x, y); }
  static void Store(int32_t* p, __m512i sums) { _mm512_storeu_si512(p, sums); }
};

const char* WhyNot(const PeakArgs& a) {
  if (a.unit != PeakUnit::kI8) return "it computes dot products of codes";
  return CpuHas(CpuFeature::kAvx512Vnni) ? nullptr : "the processor has no AVX-512 VNNI";
}

}  // namespace

extern const Kernel<PeakArgs> kPeakAvx512vnni = {"peak/avx512vnni",
                                                 Isa::kAvx512Vnni,
                                                 30,
                                                 PeakDots<Avx512vnniDots>::Run,
                                                 WhyNot,
                                                 PeakDots<Avx512vnniDots>::ScratchBytes};

}  // namespace octet
