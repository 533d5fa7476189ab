// The matrix product of the SSD stages in float and in int8, register-tiled.
//
// Included once per target, after kernels/hwy/math-inl.h.
#if defined(OCTET_KERNELS_HWY_SSD_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OCTET_KERNELS_HWY_SSD_TILE_INL_H_
#undef OCTET_KERNELS_HWY_SSD_TILE_INL_H_
#else
#define OCTET_KERNELS_HWY_SSD_TILE_INL_H_
#endif

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

// Operands are matrices of 32-bit words, each one float, two int16 or four int8 values (type T)
// that are consecutive along the inner dimension. int8 needs AVX-512 VNNI (HaveQuads), whose
// instruction multiplies unsigned by signed bytes: the right factor then holds code + 128, that is
// code ^ 0x80, and the products start from -128 times the left row's sum. Unused places of the left
// factor are 0.
template <class T>
inline constexpr int64_t kPerWord = 4 / static_cast<int64_t>(sizeof(T));
template <class T>
using Word = std::conditional_t<std::is_same_v<T, float>, float, int32_t>;
template <class T>
inline constexpr bool kOffset = sizeof(T) == 1;

inline bool HaveQuads() {
#if HWY_TARGET == HWY_AVX3
  return __builtin_cpu_supports("avx512vnni") != 0;
#else
  return false;
#endif
}

// Sizes are padded to multiples of this many elements, whole vectors of every target.
inline constexpr int64_t kPad = 16;
inline int64_t Pad16(int64_t n) {
  return (n + kPad - 1) / kPad * kPad;
}

// Word (i, q) is data[i * row_stride + q * inner_stride].
template <class W>
struct LeftFactor {
  const W* data;
  int64_t row_stride, inner_stride;
  const int32_t* sums;  // int8: the sum of each row's values
};

// Row-major words [inner, columns].
template <class W>
struct RightFactor {
  const W* data;
  int64_t stride;
};

// `sum` plus the products of the values of each pair of words.
template <class T, class V>
HWY_INLINE V MulWords(V left, V right, V sum) {
  if constexpr (std::is_same_v<T, float>) {
    return hn::MulAdd(left, right, sum);
  } else if constexpr (sizeof(T) == 2) {
#if HWY_ARCH_X86
    // On x86 this is pmaddwd, which adds neighbours; elsewhere Highway leaves the pairing open.
    const hn::ScalableTag<int32_t> d;
    const hn::ScalableTag<int16_t> d16;
    V unused = hn::Zero(d);
    return hn::ReorderWidenMulAccumulate(d, hn::BitCast(d16, left), hn::BitCast(d16, right), sum,
                                         unused);
#else
    const V low = hn::Mul(hn::ShiftRight<16>(hn::ShiftLeft<16>(left)),
                          hn::ShiftRight<16>(hn::ShiftLeft<16>(right)));
    return hn::Add(sum, hn::Add(low, hn::Mul(hn::ShiftRight<16>(left), hn::ShiftRight<16>(right))));
#endif
  } else {
#if HWY_TARGET == HWY_AVX3
    // Highway's AVX3 target does not switch VNNI on, so its intrinsic cannot be inlined here.
    asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(right.raw), "v"(left.raw));
#endif
    return sum;
  }
}

// kRows x (kVectors vectors) of the product, words [q_begin, q_end) of the inner dimension.
template <class T, int kRows, int kVectors, class W = Word<T>>
HWY_INLINE void MultiplyTile(const LeftFactor<W>& left, int64_t row, int64_t q_begin, int64_t q_end,
                             const RightFactor<W>& right, int64_t column, W* out,
                             int64_t out_stride) {
  const hn::ScalableTag<W> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<decltype(d)> sum[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    W start = 0;
    if constexpr (kOffset<T>) start = -128 * left.sums[row + r];
    for (int v = 0; v < kVectors; ++v) {
      sum[r][v] = hn::Set(d, start);
    }
  }
  const W* l = left.data + row * left.row_stride;
  for (int64_t q = q_begin; q < q_end; ++q) {
    hn::Vec<decltype(d)> values[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      values[v] = hn::LoadU(d, right.data + q * right.stride + column + v * lanes);
    }
    for (int r = 0; r < kRows; ++r) {
      W word;  // memcpy: the words were written as codes
      std::memcpy(&word, l + r * left.row_stride + q * left.inner_stride, sizeof(W));
      const auto factor = hn::Set(d, word);
      for (int v = 0; v < kVectors; ++v) {
        sum[r][v] = MulWords<T>(factor, values[v], sum[r][v]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sum[r][v], d, out + (row + r) * out_stride + column + v * lanes);
    }
  }
}

// `rows` (a multiple of 4) rows of kVectors vectors.
template <class T, int kVectors, class W = Word<T>>
HWY_INLINE void MultiplyColumns(const LeftFactor<W>& left, int64_t rows, int64_t q_begin,
                                int64_t q_end, const RightFactor<W>& right, int64_t column, W* out,
                                int64_t out_stride) {
  for (int64_t row = 0; row < rows; row += 4) {
    MultiplyTile<T, 4, kVectors>(left, row, q_begin, q_end, right, column, out, out_stride);
  }
}

// out[i, j] = sum over words q in [q_begin, q_end) of left(i, q) * right[q, j], for i < rows and
// j < columns. Rows are computed in fours and columns in vectors, up to the next multiples of 16,
// which all three matrices must hold. float sums run in order of q. `out` does not overlap.
template <class T, class W = Word<T>>
void Multiply(const LeftFactor<W>& left, int64_t rows, int64_t q_begin, int64_t q_end,
              const RightFactor<W>& right, int64_t columns, W* out, int64_t out_stride) {
  constexpr int kWide = HWY_CAP_GE512 ? 4 : 2;  // 4 rows of these fill the registers
  constexpr int64_t kLanes = HWY_LANES(float);
  const int64_t padded_rows = (rows + 3) / 4 * 4;
  int64_t column = 0;
  for (; column + kWide * kLanes <= Pad16(columns); column += kWide * kLanes) {
    MultiplyColumns<T, kWide>(left, padded_rows, q_begin, q_end, right, column, out, out_stride);
  }
  for (; column < columns; column += kLanes) {
    MultiplyColumns<T, 1>(left, padded_rows, q_begin, q_end, right, column, out, out_stride);
  }
}

// Whether all of n words are zero, n a multiple of 16.
inline bool AllZero(const void* words, int64_t n) {
  const hn::ScalableTag<uint32_t> d;
  const auto* from = static_cast<const uint32_t*>(words);
  auto any = hn::Zero(d);
  for (int64_t i = 0; i < n; i += static_cast<int64_t>(hn::Lanes(d))) {
    any = hn::Or(any, hn::LoadU(d, from + i));
  }
  return hn::AllTrue(d, hn::Eq(any, hn::Zero(d)));
}

// out[j, i] = in[i, j] ^ mask for words; rows and columns are rounded up to multiples of 4, which
// both must hold.
inline void TransposeWords(const void* in, int64_t in_stride, int64_t rows, int64_t columns,
                           void* out, int64_t out_stride, uint32_t mask) {
  const hn::Full128<uint32_t> d;
  const hn::Full128<uint64_t> d64;
  const auto flip = hn::Set(d, mask);
  const auto* from = static_cast<const uint32_t*>(in);
  auto* to = static_cast<uint32_t*>(out);
  for (int64_t i = 0; i < rows; i += 4) {
    for (int64_t j = 0; j < columns; j += 4) {
      const uint32_t* source = from + i * in_stride + j;
      const auto r0 = hn::Xor(hn::LoadU(d, source), flip);
      const auto r1 = hn::Xor(hn::LoadU(d, source + in_stride), flip);
      const auto r2 = hn::Xor(hn::LoadU(d, source + 2 * in_stride), flip);
      const auto r3 = hn::Xor(hn::LoadU(d, source + 3 * in_stride), flip);
      const auto low01 = hn::BitCast(d64, hn::InterleaveLower(d, r0, r1));
      const auto low23 = hn::BitCast(d64, hn::InterleaveLower(d, r2, r3));
      const auto high01 = hn::BitCast(d64, hn::InterleaveUpper(d, r0, r1));
      const auto high23 = hn::BitCast(d64, hn::InterleaveUpper(d, r2, r3));
      uint32_t* target = to + j * out_stride + i;
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, low01, low23)), d, target);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, low01, low23)), d, target + out_stride);
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, high01, high23)), d,
                 target + 2 * out_stride);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, high01, high23)), d,
                 target + 3 * out_stride);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#endif  // OCTET_KERNELS_HWY_SSD_TILE_INL_H_
