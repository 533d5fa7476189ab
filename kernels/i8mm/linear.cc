#include "kernels/linear.h"

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu.h"
#include "kernels/kernel.h"
#include "kernels/panels.h"

namespace octet {
namespace {

#include "kernels/dotprod/vectors-inl.h"
#include "kernels/panels-inl.h"

// usmmla, of Armv8.6: 2 rows by 2 tokens, over 8 columns at once. Two neighbouring quads of a panel
// zip to such rows; tokens are copied in pairs, 8 codes of one after 8 of the other.
class PairLinear : private PanelProblem<Dotprod> {
 public:
  static void Run(const LinearArgs& a, const Workspace& w) {
    const PairLinear self(a, static_cast<int8_t*>(w.scratch));
    for (int64_t p = self.FirstPanel(); p < self.LastPanel(); ++p) {
      a.w.dtype == DType::kI4 ? self.Tokens<true>(p) : self.Tokens<false>(p);
    }
  }

  static int64_t ScratchBytes(const LinearArgs& a) {
    return SumsBytes(a) + (a.M + 1) / 2 * 2 * Columns(a.K) + Columns(a.K);
  }

 private:
  static constexpr int kPairs = 5;  // by 8 rows: 20 registers of sums, and 9 to load into

  PairLinear(const LinearArgs& a, int8_t* scratch) : PanelProblem(a, scratch) {
    int8_t* token = scratch + SumsBytes(a);
    int8_t* pairs = token + columns_;
    x_ = pairs;
    for (int64_t t = 0; t < (a.M + 1) / 2 * 2; ++t) {
      if (t < a.M) {
        CopyToken(t, token);
      } else {
        __builtin_memset(token, 0, static_cast<size_t>(columns_));
      }
      int8_t* out = pairs + t / 2 * 2 * columns_ + t % 2 * 8;
      for (int64_t k = 0; k < columns_; k += 8) {
        __builtin_memcpy(out + 2 * k, token + k, 8);
      }
    }
  }

  template <bool kI4>
  void Tokens(int64_t p) const {
    int64_t t = 0;
    for (; t + 2 * kPairs < a_.M; t += 2 * kPairs) {
      Tile<kPairs, kI4, false>(t, p);
    }
    Rest<kPairs, kI4>(t, p);
  }

  // The last a_.M - t <= 2 * kCount tokens.
  template <int kCount, bool kI4>
  void Rest(int64_t t, int64_t p) const {
    if constexpr (kCount > 0) {
      if (a_.M - t > 2 * (kCount - 1)) {
        Tile<kCount, kI4, true>(t, p);
      } else {
        Rest<kCount - 1, kI4>(t, p);
      }
    }
  }

  // Columns k .. k + 7 of the first 4 rows, two rows to a vector.
  template <bool kI4>
  static void Load(const uint8_t* panel, int64_t k, uint8x16_t* first, uint8x16_t* second) {
    uint8x16_t low, high;
    if constexpr (kI4) {
      const uint8x16_t bytes = vld1q_u8(panel + k * 8);
      low = vandq_u8(bytes, vdupq_n_u8(15));
      high = vshrq_n_u8(bytes, 4);
    } else {
      low = vld1q_u8(panel + k * 16);
      high = vld1q_u8(panel + k * 16 + 64);
    }
    const uint32x4_t a = vreinterpretq_u32_u8(low), b = vreinterpretq_u32_u8(high);
    *first = vreinterpretq_u8_u32(vzip1q_u32(a, b));
    *second = vreinterpretq_u8_u32(vzip2q_u32(a, b));
  }

  // What the offset of the codes adds to the sums of tokens t and t + 1 over group g, negated.
  int32x4_t Excess(int64_t t, int64_t g, int32_t offset) const {
    const int32_t one = -offset * x_sums_[t * groups_ + g];
    const int32_t other = t + 1 < a_.M ? -offset * x_sums_[(t + 1) * groups_ + g] : 0;
    return int32x4_t{one, other, one, other};
  }

  // Tokens [t, t + 2 * kCount) by panel p; a last token beyond M is zeros and has no output. The
  // last tile (kFetch) fetches the next panel, see kernels/panels-inl.h.
  template <int kCount, bool kI4, bool kFetch>
  void Tile(int64_t t, int64_t p) const {
    int32_t acc[2 * kCount][16];
    Rows<kCount, kI4, kFetch>(t, p, 0, acc);
    Rows<kCount, kI4, false>(t, p, 8, acc);
    for (int64_t i = 0; i < 2 * kCount && t + i < a_.M; ++i) {
      Finish(t + i, p * 16, acc[i]);
    }
  }

  // Rows row .. row + 7 of the panel; row is 0 or 8.
  template <int kCount, bool kI4, bool kFetch>
  void Rows(int64_t t, int64_t p, int row, int32_t (*acc)[16]) const {
    const uint8_t* panel = Panel(p) + row * 4;
    const int8_t* x = x_ + t * columns_;
    int32x4_t total[4][kCount];  // rows 2 v, 2 v + 1: {first token, second, first, second}
#pragma GCC unroll 8
    for (int v = 0; v < 4; ++v) {
#pragma GCC unroll 8
      for (int i = 0; i < kCount; ++i) {
        total[v][i] = vdupq_n_s32(0);
      }
    }
    for (int64_t g = 0; g < groups_; ++g) {
      const int64_t begin = kI4 ? g * a_.w.group : 0;
      const int64_t end = g + 1 == groups_ ? columns_ : begin + a_.w.group;
      int32x4_t sums[8][kCount];
#pragma GCC unroll 8
      for (int v = 0; v < 4; ++v) {
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i) {
          sums[v][i] = Excess(t + 2 * i, g, kI4 ? 8 : 128);
        }
      }
      for (int64_t k = begin; k < end; k += 8) {
        if constexpr (kFetch) {
          __builtin_prefetch(panel + panel_bytes_ + k * (kI4 ? 8 : 16));
          if constexpr (!kI4) __builtin_prefetch(panel + panel_bytes_ + k * 16 + 64);
        }
        uint8x16_t codes[4];
        Load<kI4>(panel, k, &codes[0], &codes[1]);
        Load<kI4>(panel + 16, k, &codes[2], &codes[3]);
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i) {
          const int8x16_t tokens = vld1q_s8(x + i * 2 * columns_ + 2 * k);
#pragma GCC unroll 8
          for (int v = 0; v < 4; ++v) {
            sums[v][i] = vusmmlaq_s32(sums[v][i], codes[v], tokens);
          }
        }
      }
#pragma GCC unroll 8
      for (int v = 0; v < 4; ++v) {
        const uint8_t* m = kI4 ? Multipliers(p) + g * 16 + row + 2 * v : nullptr;
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i) {
          if constexpr (kI4) {
            total[v][i] = vmlaq_s32(total[v][i], sums[v][i], int32x4_t{m[0], m[0], m[1], m[1]});
          } else {
            total[v][i] = sums[v][i];
          }
        }
      }
    }
    for (int i = 0; i < kCount; ++i) {
      for (int v = 0; v < 4; v += 2) {
        int32_t* out = &acc[2 * i][row + 2 * v];
        vst1q_s32(out, vuzp1q_s32(total[v][i], total[v + 1][i]));
        vst1q_s32(out + 16, vuzp2q_s32(total[v][i], total[v + 1][i]));
      }
    }
  }

  const int8_t* x_;  // [pairs, columns / 8, 2, 8]
};

// One token would waste half of each product.
const char* WhyNot(const LinearArgs& a) {
  if (!CpuHas(CpuFeature::kI8mm)) return "the processor has no usmmla";
  if (a.M < 2) return "one token";
  return WhyNotPanels(a);
}

}  // namespace

extern const Kernel<LinearArgs> kLinearI8mm = {
    "linear/i8mm", Isa::kI8mm, 30, PairLinear::Run, WhyNot, PairLinear::ScratchBytes};

}  // namespace octet
