#include "kernels/linear.h"

#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "kernels/cpu.h"
#include "kernels/kernel.h"
#include "kernels/panels.h"

namespace octet {

extern const Kernel<LinearArgs> kLinearAvx2;

namespace {

#include "kernels/panels-inl.h"
#include "kernels/ymm-inl.h"

// Uses both.
#include "kernels/avx2/avx2-inl.h"

// 8-bit codes times several tokens, without the signs and most of the widening of linear/avx2.
//
// In panels a code w is u = w + 128, at most 255, and vpmaddubsw adds u x of two columns in int16,
// where it cannot saturate while |x0 + x1| <= 128. Three such sums wrap around, but less 128 times
// their x they are sums of six w x, which fit int16 while |x| add up to 255 at most: only then are
// they widened to int32. What exceeds either bound is clipped off, x = c + r, and words of four
// columns in which r is not zero, some in a hundred, are multiplied apart. The result is the same
// integer.
class ClippedLinear : private PanelProblem<Avx2> {
 public:
  // Parts of a problem may be smaller than what WhyNot was asked about.
  static void Run(const LinearArgs& a, const Workspace& w) {
    int64_t t = 0;
    if (Pays(a)) {
      ClippedLinear self(a, w.scratch);
      while (t < a.M && self.Block(t, std::min(kBlock, a.M - t))) {
        t += std::min(kBlock, a.M - t);
      }
    }
    if (t < a.M) kLinearAvx2.run(From(a, t), w);
  }

  static int64_t ScratchBytes(const LinearArgs& a) {
    return std::max(kLinearAvx2.scratch_bytes(a), ClippedLinear(a, nullptr).bytes_);
  }

  // Whether there are enough products for what clipping costs.
  static bool Pays(const LinearArgs& a) { return a.M >= 4 && a.n_end - a.n_begin >= 64; }

 private:
  // Tokens that are clipped, then multiplied while in cache: two blocks for 256.
  static constexpr int64_t kBlock = 129;
  static constexpr int kTokens = 3;  // of a tile: as many sums as the registers hold
  static constexpr int kWords = 3;   // of four columns, whose products are added in int16
  static constexpr int64_t kStep = 4 * kWords;
  static constexpr int kVectors = 16 / Avx2::kRows;

  // What was clipped off four columns of a token.
  struct Rest {
    int64_t column;
    int8_t r[4];
  };

  // Over a null block it only counts bytes.
  ClippedLinear(const LinearArgs& a, void* scratch) : PanelProblem(a, nullptr) {
    steps_ = (columns_ + kStep - 1) / kStep;
    stride_ = (steps_ + 1) / 2 * 2 * kStep + 4;  // two steps are loaded, 16 bytes each
    offset_bytes_ = (steps_ + 1) / 2 * 8;
    const int64_t of_block = std::min(kBlock, a.M);
    max_rests_ = of_block * columns_ / 16;  // with more, one word in four, linear/avx2 is as fast
    const int64_t rest_bytes = max_rests_ * static_cast<int64_t>(sizeof(Rest));
    bytes_ = rest_bytes + of_block * (offset_bytes_ + stride_);
    if (scratch == nullptr) return;
    rests_ = static_cast<Rest*>(scratch);
    offsets_ = static_cast<int8_t*>(scratch) + rest_bytes;
    clipped_ = offsets_ + of_block * offset_bytes_;
  }

  // Tokens [t, M) of a problem.
  static LinearArgs From(LinearArgs a, int64_t t) {
    a.M -= t;
    a.x = static_cast<const int8_t*>(a.x) + t * a.K;
    a.x_scale += t * a.x_scale_stride;
    a.y += t * a.y_stride;
    return a;
  }

  // Outputs of tokens [t0, t0 + count). False where too much had to be clipped.
  bool Block(int64_t t0, int64_t count) {
    int64_t rests = 0;
    for (int64_t t = 0; t < count; ++t) {
      if (!Clip(t0, t, &rests)) return false;
    }
    for (int64_t p = FirstPanel(); p < LastPanel(); ++p) {
      int64_t t = 0;
      for (; t + kTokens < count; t += kTokens) {
        Tile<kTokens, false>(t0, t, p);
      }
      if (count - t == 3) Tile<3, true>(t0, t, p);
      if (count - t == 2) Tile<2, true>(t0, t, p);
      if (count - t == 1) Tile<1, true>(t0, t, p);
    }
    return true;
  }

  // Token t of a block: its c, what to add to sums of their products, and its r.
  bool Clip(int64_t t0, int64_t t, int64_t* rests) {
    int8_t* c = clipped_ + t * stride_;
    CopyToken(t0 + t, c);
    __builtin_memset(c + columns_, 0, static_cast<size_t>(stride_ - columns_));
    begin_[t] = *rests;
    rest_sum_[t] = 0;
    const bool fits = ClipPairs(t, rests) && ClipSteps(t, rests);
    begin_[t + 1] = *rests;
    return fits;
  }

  // Where |x0 + x1| exceeds 128 both have one sign, and |x1| is at least what exceeds.
  bool ClipPairs(int64_t t, int64_t* rests) {
    int8_t* c = clipped_ + t * stride_;
    for (int64_t k = 0; k < columns_; k += 32) {
      const __m256i x = Avx2::Load(c + k);
      const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), x);
      const __m256i excess = _mm256_subs_epu16(_mm256_abs_epi16(pairs), _mm256_set1_epi16(128));
      const __m256i r = _mm256_slli_epi16(_mm256_sign_epi16(excess, pairs), 8);
      const __m256i none = _mm256_cmpeq_epi32(r, _mm256_setzero_si256());
      const int some = _mm256_movemask_ps(_mm256_castsi256_ps(none)) ^ 0xff;
      if (some == 0) continue;
      Avx2::Store(c + k, _mm256_sub_epi8(x, r));
      if (!Push(t, k, r, some, rests)) return false;
    }
    return true;
  }

  // Two steps at a time.
  bool ClipSteps(int64_t t, int64_t* rests) {
    const __m256i ones = _mm256_set1_epi8(1);
    int8_t* offsets = offsets_ + t * offset_bytes_;
    for (int64_t step = 0; step < steps_; step += 2) {
      const int8_t* c = clipped_ + t * stride_ + step * kStep;
      __m256i x = TwoSteps(c);
      const __m256i sizes = SumOfWords(_mm256_maddubs_epi16(_mm256_abs_epi8(x), ones));
      const __m256i large = _mm256_cmpgt_epi16(sizes, _mm256_set1_epi16(kMostOfStep));
      const int which = _mm256_movemask_epi8(large) & 0xf000f;  // word 0 of either
      if (which != 0) {
        if (!ClipStep(t, step, rests) || !ClipStep(t, step + 1, rests)) return false;
        x = TwoSteps(c);
      }
      const __m256i sums = SumOfWords(_mm256_maddubs_epi16(ones, x));
      const __m256i less = _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_slli_epi16(sums, 7));
      _mm_storeu_si32(offsets + step * 4, _mm256_castsi256_si128(less));
      _mm_storeu_si32(offsets + step * 4 + 4, _mm256_extracti128_si256(less, 1));
    }
    return true;
  }

  // Columns of two steps, each in 128 bits, the last word of which does not belong to it.
  static __m256i TwoSteps(const int8_t* c) {
    return _mm256_set_m128i(_mm_loadu_si128(reinterpret_cast<const __m128i*>(c + kStep)),
                            _mm_loadu_si128(reinterpret_cast<const __m128i*>(c)));
  }

  // Sums of words 0 to 2 of int16, in word 0.
  static __m256i SumOfWords(__m256i v) {
    const __m256i two = _mm256_add_epi16(v, _mm256_shuffle_epi32(v, 1));
    return _mm256_add_epi16(two, _mm256_shuffle_epi32(v, 2));
  }

  // Takes what exceeds kMostOfStep in columns 0 and 1 of a step's words off the first two of these
  // pairs, which hold as much since no pair holds more than 254; likewise in columns 2 and 3.
  bool ClipStep(int64_t t, int64_t step, int64_t* rests) {
    int8_t* c = clipped_ + t * stride_ + step * kStep;
    const auto size = [c](int64_t i) { return std::abs(c[i]) + std::abs(c[i + 1]); };
    for (int64_t first = 0; first < 4; first += 2) {
      int excess = size(first) + size(first + 4) + size(first + 8) - kMostOfStep;
      for (int64_t word = 0; word < kStep && excess > 0; word += 4) {
        if (*rests == max_rests_) return false;
        Rest& rest = rests_[(*rests)++];
        rest = {step * kStep + word, {}};
        for (const int64_t i : {first + 1, first}) {
          const int taken = std::min(std::abs(c[word + i]), excess);
          excess -= taken;
          const int r = c[word + i] < 0 ? -taken : taken;
          c[word + i] = static_cast<int8_t>(c[word + i] - r);
          rest.r[i] = static_cast<int8_t>(r);
          rest_sum_[t] += r;
        }
      }
    }
    return true;
  }

  // The words of r, of columns from k on, in bits of `some`.
  bool Push(int64_t t, int64_t k, __m256i r, int some, int64_t* rests) {
    alignas(32) int8_t bytes[32];
    Avx2::Store(bytes, r);
    for (; some != 0; some &= some - 1) {
      if (*rests == max_rests_) return false;
      const int64_t at = int64_t{4} * __builtin_ctz(static_cast<uint32_t>(some));
      Rest& rest = rests_[(*rests)++];
      rest.column = k + at;
      __builtin_memcpy(rest.r, bytes + at, sizeof(rest.r));
      rest_sum_[t] += rest.r[0] + rest.r[1] + rest.r[2] + rest.r[3];
    }
    return true;
  }

  // Adds the products of kCount tokens of a block from t on: kUsed words of a step. kFetch:
  // fetches the same of the next panel.
  template <int kCount, int kUsed, bool kFetch>
  inline __attribute__((always_inline)) void AddStep(const uint8_t* panel, int64_t t, int64_t step,
                                                     __m256i (*sums)[kVectors]) const {
    __m256i codes[kUsed][kVectors];
#pragma GCC unroll 3
    for (int j = 0; j < kUsed; ++j) {
      if constexpr (kFetch) {
        __builtin_prefetch(panel + panel_bytes_ + (step * kStep + 4 * j) * 16);
      }
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        codes[j][v] = Avx2::Load(panel + (step * kStep + 4 * j) * 16 + v * 32);
      }
    }
#pragma GCC unroll 3
    for (int i = 0; i < kCount; ++i) {
      const int8_t* c = clipped_ + (t + i) * stride_ + step * kStep;
      const __m256i less = Avx2::Broadcast(offsets_ + (t + i) * offset_bytes_ + step * 4);
      __m256i parts[kVectors] = {less, less};
#pragma GCC unroll 3
      for (int j = 0; j < kUsed; ++j) {
        const __m256i x = Avx2::Broadcast(c + 4 * j);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          parts[v] = _mm256_add_epi16(parts[v], _mm256_maddubs_epi16(codes[j][v], x));
          asm("" : "+x"(parts[v]));  // added in another order they take more registers
        }
      }
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        sums[i][v] = Avx2::AddPairs(sums[i][v], parts[v]);
      }
    }
  }

  // The last tile of a block (kFetch) fetches the next panel.
  template <int kCount, bool kFetch>
  __attribute__((noinline)) void Tile(int64_t t0, int64_t t, int64_t p) const {
    const uint8_t* panel = Panel(p);
    __m256i sums[kCount][kVectors];
#pragma GCC unroll 3
    for (int i = 0; i < kCount; ++i) {
      sums[i][0] = sums[i][1] = _mm256_set1_epi32(-128 * rest_sum_[t + i]);
    }
    const int64_t whole = columns_ / kStep;
    for (int64_t step = 0; step < whole; ++step) {
      AddStep<kCount, kWords, kFetch>(panel, t, step, sums);
    }
    if (columns_ % kStep == 8) AddStep<kCount, 2, kFetch>(panel, t, whole, sums);
    if (columns_ % kStep == 4) AddStep<kCount, 1, kFetch>(panel, t, whole, sums);
#pragma GCC unroll 3
    for (int i = 0; i < kCount; ++i) {
      for (int64_t j = begin_[t + i]; j < begin_[t + i + 1]; ++j) {
        const __m256i r = Avx2::Broadcast(rests_[j].r);
        const uint8_t* codes = panel + rests_[j].column * 16;
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          const __m256i pairs = _mm256_maddubs_epi16(Avx2::Load(codes + v * 32), r);
          sums[i][v] = Avx2::AddPairs(sums[i][v], pairs);
        }
      }
      alignas(32) int32_t acc[16];
      Avx2::Store(acc, sums[i][0]);
      Avx2::Store(acc + 8, sums[i][1]);
      Finish(t0 + t + i, p * 16, acc);
    }
  }

  // Of |x| in the columns of a step whose products one int16 adds up.
  static constexpr int kMostOfStep = 255;

  int64_t steps_, stride_, offset_bytes_, max_rests_, bytes_;
  Rest* rests_ = nullptr;           // [max_rests_], of the block's tokens one after another
  int64_t begin_[kBlock + 1] = {};  // where those of each token begin
  int32_t rest_sum_[kBlock] = {};   // the sum of its r
  int8_t* offsets_ = nullptr;       // int16 [tokens, offset_bytes_ / 4, 2]
  int8_t* clipped_ = nullptr;       // c [tokens, stride_]
};

const char* WhyNot(const LinearArgs& a) {
  if (!CpuHas(CpuFeature::kAvx2)) return "the processor has no AVX2";
  if (a.w.dtype != DType::kI8) return "4-bit codes";
  if (!ClippedLinear::Pays(a)) return "too few products for what clipping costs";
  return WhyNotPanels(a);
}

}  // namespace

extern const Kernel<LinearArgs> kLinearClippedAvx2 = {
    "linear/avx2-clipped", Isa::kAvx2, 16, ClippedLinear::Run, WhyNot, ClippedLinear::ScratchBytes};

}  // namespace octet
