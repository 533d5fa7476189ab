#include "kernels/peak.h"

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu.h"
#include "kernels/kernel.h"

namespace octet {
namespace {

constexpr int kSums = 6;  // with what they wait for, all 16 registers

// Two vpmaddubsw, whose sums fit int16 together, vpmaddwd and two additions: 64 products.
void Run(const PeakArgs& a, const Workspace&) {
  alignas(32) int8_t rows[kSums * 64];
  for (int i = 0; i < kSums * 64; ++i) {
    rows[i] = static_cast<int8_t>(i % 31 - 15);
  }
  __m256i sums[kSums];
  for (auto& s : sums) {
    s = _mm256_setzero_si256();
  }
  const __m256i ones16 = _mm256_set1_epi16(1), ones8 = _mm256_set1_epi8(1);
  // It changes, or the compiler would multiply once and for all.
  __m256i x = _mm256_setzero_si256();
  for (int64_t r = 0; r < a.rounds; ++r) {
#pragma GCC unroll 6
    for (int i = 0; i < kSums; ++i) {
      const auto* y = reinterpret_cast<const __m256i*>(rows + 64 * i);
      const __m256i pairs = _mm256_maddubs_epi16(x, _mm256_load_si256(y));
      const __m256i fours =
          _mm256_add_epi16(pairs, _mm256_maddubs_epi16(x, _mm256_load_si256(y + 1)));
      sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(fours, ones16));
    }
    x = _mm256_add_epi8(x, ones8);
  }
  alignas(32) int32_t lanes[8];
  uint32_t total = 0;
  for (const auto& s : sums) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), s);
    for (const int32_t v : lanes) {
      total += static_cast<uint32_t>(v);
    }
  }
  *a.sum = total;
  *a.done = 2.0 * 64 * kSums * static_cast<double>(a.rounds);
}

const char* WhyNot(const PeakArgs& a) {
  if (a.unit != PeakUnit::kI8) return "it computes dot products of codes";
  return CpuHas(CpuFeature::kAvx2) ? nullptr : "the processor has no AVX2";
}

int64_t ScratchBytes(const PeakArgs&) {
  return 0;
}

}  // namespace

extern const Kernel<PeakArgs> kPeakAvx2 = {"peak/avx2", Isa::kAvx2, 15, Run, WhyNot, ScratchBytes};

}  // namespace octet
