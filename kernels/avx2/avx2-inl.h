// What AVX2 does for kernels/panels-inl.h: included after that header and kernels/ymm-inl.h.

// vpmaddubsw, whose sums of two products saturate at int16: |x| times the code with the sign of x
// stays below, as codes reach 127 and not 255.
struct Avx2 : Ymm {
  using Parts = __m256i;  // int16, two for each row
  static constexpr int kTokens = 4, kTokensI4 = 4;
  // Of 2 products of up to 15 * 127 each, eight sums stay within int16: two of them in 8 columns.
  static constexpr int64_t kColumnsI4 = 32;
  static constexpr int32_t kOffset8 = 0;

  static Codes LoadI8(const uint8_t* p) {
    return _mm256_xor_si256(Load(p), _mm256_set1_epi8(-128));
  }
  static Sums AddPairs(Sums sums, __m256i pairs) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  static Sums Dot(Sums sums, Codes codes, const int8_t* x4) {
    const __m256i x = Broadcast(x4);
    return AddPairs(sums, _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(codes, x)));
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
