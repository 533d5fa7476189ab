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

// vpmaddubsw, whose sums of two products saturate at int16: |code| times x with the sign of the
// code stays below, as |x| reaches 127 and not 255.
struct Avx2 : Ymm {
  struct Codes8 {
    __m256i codes, magnitudes;
  };
  using Parts = __m256i;  // int16, two for each row
  static constexpr int kTokens = 4, kTokensI4 = 4;
  // Of 2 products of up to 15 * 127 each, eight sums stay within int16: two of them in 8 columns.
  static constexpr int64_t kColumnsI4 = 32;
  static constexpr int32_t kOffset8 = 0;

  static Codes8 LoadI8(const uint8_t* p) {
    const __m256i codes = _mm256_xor_si256(Load(p), _mm256_set1_epi8(-128));
    return {codes, _mm256_abs_epi8(codes)};
  }
  static Sums AddPairs(Sums sums, __m256i pairs) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  static Sums Dot(Sums sums, const Codes8& w, const int8_t* x4) {
    const __m256i x = _mm256_sign_epi8(Broadcast(x4), w.codes);
    return AddPairs(sums, _mm256_maddubs_epi16(w.magnitudes, x));
  }
  static Parts DotI4(Parts parts, Codes codes, const int8_t* x4) {
    return _mm256_add_epi16(parts, _mm256_maddubs_epi16(codes, Broadcast(x4)));
  }
  static Sums AddParts(Sums sums, Parts parts) { return AddPairs(sums, parts); }
  static Sums SumOf64(Sums sums, const int8_t* x) {
    const __m256i ones = _mm256_set1_epi8(1);
    sums = AddPairs(sums, _mm256_maddubs_epi16(ones, Load(x)));
    return AddPairs(sums, _mm256_maddubs_epi16(ones, Load(x + 32)));
  }
};

const char* WhyNot(const LinearArgs& a) {
  if (!CpuHas(CpuFeature::kAvx2)) return "the processor has no AVX2";
  return WhyNotPanels(a);
}

}  // namespace

extern const Kernel<LinearArgs> kLinearAvx2 = {
    "linear/avx2", Isa::kAvx2, 15, PanelLinear<Avx2>::Run, WhyNot, PanelLinear<Avx2>::ScratchBytes};

}  // namespace octet
