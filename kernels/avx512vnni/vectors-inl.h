// Class `I` of kernels/panels-inl.h for AVX-512 VNNI; included like that header, after
// <immintrin.h>.

// vpdpbusd on 512 bits: 16 rows at once.
struct Avx512Vnni {
  using Sums = __m512i;
  using Codes = __m512i;
  using Parts = Sums;
  static constexpr int kRows = 16;
  static constexpr int kTokens = 12, kPanelsI8 = 2;
  static constexpr int kTokensI4 = 6, kPanelsI4 = 2;
  static constexpr int64_t kColumnsI4 = 0;
  static constexpr int32_t kOffset8 = 128;

  static Sums Set(int32_t v) { return _mm512_set1_epi32(v); }
  static Codes LoadI8(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static void LoadI4(const uint8_t* p, Codes* low, Codes* high) {
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i bytes = _mm512_loadu_si512(p);
    *low = _mm512_and_si512(bytes, nibble);
    *high = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble);
  }
  static Sums Dot(Sums sums, Codes codes, const int8_t* x4) {
    int32_t four = 0;
    __builtin_memcpy(&four, x4, sizeof(four));
    return _mm512_dpbusd_epi32(sums, codes, _mm512_set1_epi32(four));
  }
  static Parts DotI4(Parts parts, Codes codes, const int8_t* x4) { return Dot(parts, codes, x4); }
  static Sums AddScaled(Sums total, Sums sums, const uint8_t* m) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(m));
    return _mm512_add_epi32(total, _mm512_mullo_epi32(sums, _mm512_cvtepu8_epi32(bytes)));
  }
  static void Store(int32_t* p, Sums sums) { _mm512_storeu_si512(p, sums); }
  static Sums SumOf64(Sums sums, const int8_t* x) {
    return _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(1), _mm512_loadu_si512(x));
  }
  static int32_t Total(Sums sums) { return _mm512_reduce_add_epi32(sums); }
  static void Dequantize16(const int32_t* acc, double x_scale, const float* row_scale,
                           int64_t stride, float* out) {
    const __m512d xs = _mm512_set1_pd(x_scale);
    for (int i = 0; i < 16; i += 8) {
      const __m256 rs = stride == 1 ? _mm256_loadu_ps(row_scale + i) : _mm256_set1_ps(row_scale[0]);
      const __m512d scale = _mm512_mul_pd(xs, _mm512_cvtps_pd(rs));
      const __m256i sums = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(acc + i));
      const __m512d product = _mm512_mul_pd(_mm512_cvtepi32_pd(sums), scale);
      _mm256_storeu_ps(out + i, _mm512_cvtpd_ps(product));
    }
  }
};
