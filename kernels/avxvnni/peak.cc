#include "kernels/peak.h"

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu.h"
#include "kernels/kernel.h"

namespace octet {
namespace {

#include "kernels/peak-inl.h"

struct AvxvnniDots {
  static constexpr int kLanes = 8, kProducts = 4;
  static __m256i Set(int32_t v) { return _mm256_set1_epi32(v); }
  static __m256i SetI8(int8_t v) { return _mm256_set1_epi8(v); }
  static __m256i Dot(__m256i sums, __m256i x, __m256i y) {
    return _mm256_dpbusd_avx_epi32(sums, x, y);
  }
  static void Store(int32_t* p, __m256i sums) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), sums);
  }
};

const char* WhyNot(const PeakArgs& a) {
  if (a.unit != PeakUnit::kI8) return "it computes dot products of codes";
  return CpuHas(CpuFeature::kAvxVnni) ? nullptr : "the processor has no AVX-VNNI";
}

}  // namespace

extern const Kernel<PeakArgs> kPeakAvxvnni = {"peak/avxvnni",
                                              Isa::kAvxVnni,
                                              20,
                                              PeakDots<AvxvnniDots>::Run,
                                              WhyNot,
                                              PeakDots<AvxvnniDots>::ScratchBytes};

}  // namespace octet
