// Complex modes of an S4D layer as vectors, for kernels that hold some of them over all tokens.
//
// Included once per target by kernels/hwy/*.cc, after hwy/foreach_target.h and hwy/highway.h.
#if defined(OCTET_KERNELS_HWY_MODES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OCTET_KERNELS_HWY_MODES_INL_H_
#undef OCTET_KERNELS_HWY_MODES_INL_H_
#else
#define OCTET_KERNELS_HWY_MODES_INL_H_
#endif

#include <cstdint>

#include "kernels/hwy/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {
namespace {

using D = hn::ScalableTag<float>;
using V = hn::VFromD<D>;

constexpr int64_t kLanes = static_cast<int64_t>(HWY_LANES(float));
constexpr int64_t kMaxVectors = 2;

// The modes of a head are padded with zeros to whole vectors of any target.
int64_t PaddedModes(int64_t N) {
  return (N + 15) / 16 * 16;
}

// A complex value of kVectors vectors of modes.
template <int kVectors>
struct Modes {
  V re[kVectors], im[kVectors];
  HWY_INLINE Modes() {
  }  // an implicit one is compiled for the baseline, which NEON's vectors are not
  HWY_INLINE void Load(const float* p, int64_t im_offset) {
    for (int i = 0; i < kVectors; ++i) {
      re[i] = hn::LoadU(D(), p + i * kLanes);
      im[i] = hn::LoadU(D(), p + im_offset + i * kLanes);
    }
  }
  HWY_INLINE void Store(float* p, int64_t im_offset) const {
    for (int i = 0; i < kVectors; ++i) {
      hn::StoreU(re[i], D(), p + i * kLanes);
      hn::StoreU(im[i], D(), p + im_offset + i * kLanes);
    }
  }
  HWY_INLINE void Clear() {
    for (int i = 0; i < kVectors; ++i) {
      re[i] = im[i] = hn::Zero(D());
    }
  }
  // Adds l conj(x).
  HWY_INLINE void AddProduct(const Modes& l, const Modes& x, int i) {
    re[i] = hn::MulAdd(l.im[i], x.im[i], hn::MulAdd(l.re[i], x.re[i], re[i]));
    im[i] = hn::NegMulAdd(l.re[i], x.im[i], hn::MulAdd(l.im[i], x.re[i], im[i]));
  }
};

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#endif  // OCTET_KERNELS_HWY_MODES_INL_H_
