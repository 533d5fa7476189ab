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

// vpdpbusd on 256 bits, for processors without AVX-512.
struct AvxVnni : Ymm {
  using Parts = Sums;
  static constexpr int kTokens = 6, kTokensI4 = 3;
  static constexpr int64_t kColumnsI4 = 0;
  static constexpr int32_t kOffset8 = 128;

  static Codes LoadI8(const uint8_t* p) { return Load(p); }
  static Sums Dot(Sums sums, Codes codes, const int8_t* x4) {
    return _mm256_dpbusd_avx_epi32(sums, codes, Broadcast(x4));
  }
  static Parts DotI4(Parts parts, Codes codes, const int8_t* x4) { return Dot(parts, codes, x4); }
  static Sums SumOf64(Sums sums, const int8_t* x) {
    const __m256i ones = _mm256_set1_epi8(1);
    sums = _mm256_dpbusd_avx_epi32(sums, ones, Load(x));
    return _mm256_dpbusd_avx_epi32(sums, ones, Load(x + 32));
  }
};

const char* WhyNot(const LinearArgs& a) {
  if (!CpuHas(CpuFeature::kAvxVnni)) return "the processor has no AVX-VNNI";
  return WhyNotPanels(a);
}

}  // namespace

extern const Kernel<LinearArgs> kLinearAvxvnni = {
    "linear/avxvnni",          Isa::kAvxVnni, 20,
    PanelLinear<AvxVnni>::Run, WhyNot,        PanelLinear<AvxVnni>::ScratchBytes};

}  // namespace octet
