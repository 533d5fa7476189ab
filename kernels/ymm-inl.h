// What the classes `I` of kernels/panels-inl.h on 256-bit vectors share: all but the products.
// Included like that header, after <immintrin.h>.

// 8 rows at once.
struct Ymm {
  using Sums = __m256i;
  using Codes = __m256i;
  static constexpr int kRows = 8;
  static constexpr int kPanelsI8 = 1, kPanelsI4 = 1;

  static __m256i Load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static Sums Set(int32_t v) { return _mm256_set1_epi32(v); }
  static void LoadI4(const uint8_t* p, Codes* low, Codes* high) {
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i bytes = Load(p);
    *low = _mm256_and_si256(bytes, nibble);
    *high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble);
  }
  static __m256i Broadcast(const int8_t* x4) {
    int32_t four = 0;
    __builtin_memcpy(&four, x4, sizeof(four));
    return _mm256_set1_epi32(four);
  }
  static Sums AddScaled(Sums total, Sums sums, const uint8_t* m) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(m));
    return _mm256_add_epi32(total, _mm256_mullo_epi32(sums, _mm256_cvtepu8_epi32(bytes)));
  }
  static void Store(void* p, Sums sums) { _mm256_storeu_si256(static_cast<__m256i*>(p), sums); }
  static int32_t Total(Sums sums) {
    __m128i v = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(v, _mm_shuffle_epi32(v, 0xb1)));
  }
  static void Dequantize16(const int32_t* acc, double x_scale, const float* row_scale,
                           int64_t stride, float* out) {
    const __m256d xs = _mm256_set1_pd(x_scale);
    for (int i = 0; i < 16; i += 4) {
      const __m128 rs = stride == 1 ? _mm_loadu_ps(row_scale + i) : _mm_set1_ps(row_scale[0]);
      const __m256d scale = _mm256_mul_pd(xs, _mm256_cvtps_pd(rs));
      const __m128i sums = _mm_loadu_si128(reinterpret_cast<const __m128i*>(acc + i));
      const __m256d product = _mm256_mul_pd(_mm256_cvtepi32_pd(sums), scale);
      _mm_storeu_ps(out + i, _mm256_cvtpd_ps(product));
    }
  }
};
