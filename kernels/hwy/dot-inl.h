// For kernels that walk four weight rows: horizontal sums of four vectors at once, prefetching.
//
// Included once per target, after kernels/hwy/math-inl.h.
#if defined(OCTET_KERNELS_HWY_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OCTET_KERNELS_HWY_DOT_INL_H_
#undef OCTET_KERNELS_HWY_DOT_INL_H_
#else
#define OCTET_KERNELS_HWY_DOT_INL_H_
#endif

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

// Adds the 128-bit blocks of `v` and stores the four lanes.
template <class D>
HWY_INLINE void StoreBlockSum(D d, hn::Vec<D> v, hn::TFromD<D>* out) {
  if constexpr (hn::MaxLanes(D()) > 4) {
    const hn::Half<D> dh;
    StoreBlockSum(dh, hn::Add(hn::LowerHalf(dh, v), hn::UpperHalf(dh, v)), out);
  } else {
    hn::StoreU(v, d, out);
  }
}

// out[r] = sum of the lanes of v[r], r < 4, for float or int32 lanes.
template <class D>
HWY_INLINE void StoreSums4(D d, const hn::Vec<D>* v, hn::TFromD<D>* out) {
  const hn::Repartition<double, D> dd;
  const auto a = hn::Add(hn::InterleaveLower(d, v[0], v[1]), hn::InterleaveUpper(d, v[0], v[1]));
  const auto b = hn::Add(hn::InterleaveLower(d, v[2], v[3]), hn::InterleaveUpper(d, v[2], v[3]));
  const auto lower = hn::InterleaveLower(dd, hn::BitCast(dd, a), hn::BitCast(dd, b));
  const auto upper = hn::InterleaveUpper(dd, hn::BitCast(dd, a), hn::BitCast(dd, b));
  StoreBlockSum(d, hn::Add(hn::BitCast(d, lower), hn::BitCast(d, upper)), out);
}

// How many rows ahead to prefetch: a few KB, since short rows pass faster than memory answers.
HWY_INLINE int64_t RowsAhead(int64_t row_bytes) {
  return row_bytes > 1024 ? 4 : 8;
}

// Asks for the cache lines of four rows that start at element k, a multiple of the vector length.
// Rows of codes are short, and the processor's own prefetching has to find each one anew.
template <class W>
HWY_INLINE void PrefetchAt(const W* const* rows, int64_t k) {
  if (k % (64 / static_cast<int64_t>(sizeof(W))) != 0) return;
  for (int r = 0; r < 4; ++r) {
    hwy::Prefetch(rows[r] + k);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#endif  // OCTET_KERNELS_HWY_DOT_INL_H_
