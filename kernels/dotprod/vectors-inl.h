// Class `I` of kernels/panels-inl.h for sdot; included like that header, after <arm_neon.h>.

// sdot, of Armv8.2: 4 rows at once. Both operands are signed, so the offset of the codes is taken
// off as they are read.
struct Dotprod {
  using Sums = int32x4_t;
  using Codes = int8x16_t;
  using Parts = Sums;
  static constexpr int kRows = 4;
  static constexpr int kTokens = 5, kPanelsI8 = 1;
  static constexpr int kTokensI4 = 2, kPanelsI4 = 1;
  static constexpr int64_t kColumnsI4 = 0;
  static constexpr int32_t kOffset8 = 0;

  static Sums Set(int32_t v) { return vdupq_n_s32(v); }
  static Codes LoadI8(const uint8_t* p) {
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(0x80)));
  }
  static void LoadI4(const uint8_t* p, Codes* low, Codes* high) {
    const uint8x16_t bytes = vld1q_u8(p);
    *low = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
    *high = vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4));
  }
  static Sums Dot(Sums sums, Codes codes, const int8_t* x4) {
    int32_t four = 0;
    __builtin_memcpy(&four, x4, sizeof(four));
    return vdotq_s32(sums, codes, vreinterpretq_s8_s32(vdupq_n_s32(four)));
  }
  static Parts DotI4(Parts parts, Codes codes, const int8_t* x4) { return Dot(parts, codes, x4); }
  static Sums AddScaled(Sums total, Sums sums, const uint8_t* m) {
    const int32x4_t multipliers = {m[0], m[1], m[2], m[3]};
    return vmlaq_s32(total, sums, multipliers);
  }
  static void Store(int32_t* p, Sums sums) { vst1q_s32(p, sums); }
  static Sums SumOf64(Sums sums, const int8_t* x) {
    const int8x16_t ones = vdupq_n_s8(1);
    for (int i = 0; i < 64; i += 16) {
      sums = vdotq_s32(sums, vld1q_s8(x + i), ones);
    }
    return sums;
  }
  static int32_t Total(Sums sums) { return vaddvq_s32(sums); }
  static void Dequantize16(const int32_t* acc, double x_scale, const float* row_scale,
                           int64_t stride, float* out) {
    const float64x2_t xs = vdupq_n_f64(x_scale);
    for (int i = 0; i < 16; i += 2) {
      const float32x2_t rs = stride == 1 ? vld1_f32(row_scale + i) : vdup_n_f32(row_scale[0]);
      const float64x2_t scale = vmulq_f64(xs, vcvt_f64_f32(rs));
      const float64x2_t sums = vcvtq_f64_s64(vmovl_s32(vld1_s32(acc + i)));
      vst1_f32(out + i, vcvt_f32_f64(vmulq_f64(sums, scale)));
    }
  }
};
