#include "kernels/linear.h"

#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

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

// 8-bit codes times several tokens, without the signs and half of the widening of linear/avx2.
//
// In panels a code w is u = w + 128, at most 255, and vpmaddubsw adds u x of two columns in int16,
// where it cannot saturate while |x0| + |x1| <= 127. The pairs of a token that exceed this, some in
// a hundred, are clipped, x = c + r; words of four columns in which r is not zero are multiplied
// apart. Two sums of two then wrap around in int16, but less 128 times their c they are sums of
// four w c, of magnitude 2 * 128 * 127 at most, which fit again: only every second one is widened
// to int32. The result is the same integer.
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

  // What was clipped off four columns of a token.
  struct Rest {
    int64_t column;
    int8_t r[4];
  };

  // Over a null block it only counts bytes.
  ClippedLinear(const LinearArgs& a, void* scratch) : PanelProblem(a, nullptr) {
    const int64_t of_block = std::min(kBlock, a.M) * columns_;
    max_rests_ = of_block / 16;  // with more, one word in four, linear/avx2 is as fast
    const int64_t rest_bytes = max_rests_ * static_cast<int64_t>(sizeof(Rest));
    bytes_ = rest_bytes + 2 * of_block;
    if (scratch == nullptr) return;
    rests_ = static_cast<Rest*>(scratch);
    clipped_ = static_cast<int8_t*>(scratch) + rest_bytes;
    offsets_ = clipped_ + of_block;
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
      for (; t + kTokens <= count; t += kTokens) {
        Tile<kTokens>(t0, t, p);
      }
      if (count - t == 2) Tile<2>(t0, t, p);
      if (count - t == 1) Tile<1>(t0, t, p);
    }
    return true;
  }

  // Token t of a block: its c, what to add to sums of their products, and its r.
  bool Clip(int64_t t0, int64_t t, int64_t* rests) {
    int8_t* c = clipped_ + t * columns_;
    CopyToken(t0 + t, c);
    begin_[t] = *rests;
    const __m256i zero = _mm256_setzero_si256(), ones = _mm256_set1_epi8(1);
    __m256i rest_sums = zero;
    for (int64_t k = 0; k < columns_; k += 32) {
      // As no |x| exceeds 127, odd columns alone can give way.
      const __m256i x = Avx2::Load(c + k);
      const __m256i magnitudes = _mm256_maddubs_epi16(_mm256_abs_epi8(x), ones);
      const __m256i excess = _mm256_subs_epu16(magnitudes, _mm256_set1_epi16(127));
      const __m256i odd = _mm256_srai_epi16(x, 8);
      const __m256i r = _mm256_slli_epi16(_mm256_sign_epi16(excess, odd), 8);
      if (!Push(r, k, rests)) return false;
      rest_sums = Avx2::AddPairs(rest_sums, _mm256_maddubs_epi16(ones, r));
      const __m256i kept = _mm256_sub_epi8(x, r);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(c + k), kept);
      // For each 8 columns from k8 on: the sums of columns 0, 1, 4, 5 and of 2, 3, 6, 7, at byte
      // k8. What follows in bytes k8 + 4 to k8 + 7 is not read.
      const __m256i pairs = _mm256_maddubs_epi16(ones, kept);
      const __m256i sums = _mm256_add_epi16(pairs, _mm256_shuffle_epi32(pairs, 0xb1));
      const __m256i less = _mm256_sub_epi16(zero, _mm256_slli_epi16(sums, 7));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(offsets_ + t * columns_ + k), less);
    }
    begin_[t + 1] = *rests;
    rest_sum_[t] = Avx2::Total(rest_sums);
    return true;
  }

  // Words of r, of columns from k on, that are not zero.
  bool Push(__m256i r, int64_t k, int64_t* rests) {
    const __m256 none = _mm256_castsi256_ps(_mm256_cmpeq_epi32(r, _mm256_setzero_si256()));
    auto some = static_cast<uint32_t>(_mm256_movemask_ps(none)) ^ 0xffu;
    if (some == 0) return true;
    alignas(32) int8_t bytes[32];
    _mm256_store_si256(reinterpret_cast<__m256i*>(bytes), r);
    for (; some != 0; some &= some - 1) {
      if (*rests == max_rests_) return false;
      const int64_t at = int64_t{4} * __builtin_ctz(some);
      Rest& rest = rests_[(*rests)++];
      rest.column = k + at;
      __builtin_memcpy(rest.r, bytes + at, sizeof(rest.r));
    }
    return true;
  }

  template <int kCount>
  void Tile(int64_t t0, int64_t t, int64_t p) const {
    constexpr int kVectors = 16 / Avx2::kRows;
    const uint8_t* panel = Panel(p);
    const int8_t* c = clipped_ + t * columns_;
    const int8_t* offsets = offsets_ + t * columns_;
    __m256i sums[kCount][kVectors];
#pragma GCC unroll 3
    for (int i = 0; i < kCount; ++i) {
      sums[i][0] = sums[i][1] = _mm256_set1_epi32(-128 * rest_sum_[t + i]);
    }
    for (int64_t k = 0; k < columns_; k += 8) {
      __m256i first[kVectors], second[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        first[v] = Avx2::Load(panel + k * 16 + v * 32);
        second[v] = Avx2::Load(panel + k * 16 + 64 + v * 32);
      }
#pragma GCC unroll 3
      for (int i = 0; i < kCount; ++i) {
        const __m256i x = Avx2::Broadcast(c + i * columns_ + k);
        const __m256i next = Avx2::Broadcast(c + i * columns_ + k + 4);
        const __m256i less = Avx2::Broadcast(offsets + i * columns_ + k);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          const __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(first[v], x), less);
          const __m256i fours = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(second[v], next));
          sums[i][v] = Avx2::AddPairs(sums[i][v], fours);
        }
      }
    }
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

  int64_t max_rests_, bytes_;
  Rest* rests_ = nullptr;           // [max_rests_], of the block's tokens one after another
  int64_t begin_[kBlock + 1] = {};  // where those of each token begin
  int32_t rest_sum_[kBlock] = {};   // the sum of its r
  int8_t* clipped_ = nullptr;       // c [tokens, columns_]
  int8_t* offsets_ = nullptr;       // int16 [tokens, columns_ / 2]
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
