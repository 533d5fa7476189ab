#include "kernels/hadamard.h"

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/hadamard.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/kernel.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

// a + b in the lanes whose bit `stride` is clear, a - b in the others, where `swapped` holds the
// partner of each lane. x + (-y) is x - y, so one addition serves both.
HWY_INLINE VF Butterfly(VF v, VF swapped, size_t stride) {
  const DF d;
  const hn::RebindToUnsigned<DF> du;
  const auto bit = hn::And(hn::Iota(du, 0), hn::Set(du, static_cast<uint32_t>(stride)));
  const auto upper = hn::Ne(bit, hn::Zero(du));
  const auto sign = hn::IfThenElseZero(upper, hn::Set(du, 0x80000000u));
  return hn::Add(swapped, hn::Xor(v, hn::BitCast(d, sign)));
}

// The strides inside a vector: 1, 2, .. Lanes / 2.
HWY_INLINE VF ButterfliesInVector(VF v) {
  v = Butterfly(v, hn::Shuffle2301(v), 1);
  v = Butterfly(v, hn::Shuffle1032(v), 2);
#if HWY_CAP_GE512
  v = Butterfly(v, hn::SwapAdjacentBlocks(v), 4);
  v = Butterfly(v, hn::ConcatLowerUpper(DF(), v, v), 8);
#elif HWY_CAP_GE256
  v = Butterfly(v, hn::ConcatLowerUpper(DF(), v, v), 4);
#endif
  return v;
}

// Strides `stride` and 2 `stride` in one pass over v[n].
void Radix4Pass(float* v, int64_t n, int64_t stride) {
  const DF d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < n; i += 4 * stride) {
    for (int64_t j = i; j < i + stride; j += N) {
      const auto a = hn::LoadU(d, v + j);
      const auto b = hn::LoadU(d, v + j + stride);
      const auto c = hn::LoadU(d, v + j + 2 * stride);
      const auto e = hn::LoadU(d, v + j + 3 * stride);
      const auto a1 = hn::Add(a, b);
      const auto b1 = hn::Sub(a, b);
      const auto c1 = hn::Add(c, e);
      const auto e1 = hn::Sub(c, e);
      hn::StoreU(hn::Add(a1, c1), d, v + j);
      hn::StoreU(hn::Add(b1, e1), d, v + j + stride);
      hn::StoreU(hn::Sub(a1, c1), d, v + j + 2 * stride);
      hn::StoreU(hn::Sub(b1, e1), d, v + j + 3 * stride);
    }
  }
}

void Radix2Pass(float* v, int64_t n, int64_t stride) {
  const DF d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < n; i += 2 * stride) {
    for (int64_t j = i; j < i + stride; j += N) {
      const auto a = hn::LoadU(d, v + j);
      const auto b = hn::LoadU(d, v + j + stride);
      hn::StoreU(hn::Add(a, b), d, v + j);
      hn::StoreU(hn::Sub(a, b), d, v + j + stride);
    }
  }
}

// x[n] to y[n], n a power of two and a multiple of the lanes.
void Butterflies(const float* x, int64_t n, float* y) {
  const DF d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < n; i += N) {
    hn::StoreU(ButterfliesInVector(hn::LoadU(d, x + i)), d, y + i);
  }
  int64_t stride = N;
  for (; 4 * stride <= n; stride *= 4) {
    Radix4Pass(y, n, stride);
  }
  if (stride < n) Radix2Pass(y, n, stride);
}

// kRows outputs from i on, of the columns that `columns` [k, Lanes] holds. The signs are floats:
// fma(+-1, v, sum) is sum +- v rounded once.
template <int kRows>
HWY_INLINE void FactorRows(const float* columns, const float* signs, int64_t k, float scale,
                           float* y, int64_t width) {
  const DF d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  VF sum[kRows];
  for (int r = 0; r < kRows; ++r) {
    sum[r] = hn::Mul(hn::Set(d, signs[r * k]), hn::LoadU(d, columns));
  }
  for (int64_t j = 1; j < k; ++j) {
    const auto v = hn::LoadU(d, columns + j * N);
    for (int r = 0; r < kRows; ++r) {
      sum[r] = hn::MulAdd(hn::Set(d, signs[r * k + j]), v, sum[r]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    hn::StoreU(hn::Mul(sum[r], hn::Set(d, scale)), d, y + r * width);
  }
}

// The factor along the slow axis of a piece [k, width], and the scale.
void Factor(int64_t k, int64_t width, const float* signs, float scale, float* columns, float* y) {
  const DF d;
  const auto N = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t c = 0; c < width; c += N) {
    for (int64_t j = 0; j < k; ++j) {
      hn::StoreU(hn::LoadU(d, y + j * width + c), d, columns + j * N);
    }
    int64_t i = 0;
    for (; i + 4 <= k; i += 4) {
      FactorRows<4>(columns, signs + i * k, k, scale, y + i * width + c, width);
    }
    for (; i < k; ++i) {
      FactorRows<1>(columns, signs + i * k, k, scale, y + i * width + c, width);
    }
  }
}

void Scale(float scale, int64_t n, float* y) {
  const DF d;
  for (int64_t i = 0; i < n; i += static_cast<int64_t>(hn::Lanes(d))) {
    hn::StoreU(hn::Mul(hn::LoadU(d, y + i), hn::Set(d, scale)), d, y + i);
  }
}

// scratch: the factor as floats, then k vectors.
void Hadamard(const HadamardArgs& a, float* scratch) {
  const HadamardShape& s = a.shape;
  const int64_t width = int64_t{1} << s.m;
  const int64_t piece = s.k * width;
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(piece)));
  for (int64_t i = 0; s.k > 1 && i < s.k * s.k; ++i) {
    scratch[i] = static_cast<float>(s.factor[i]);
  }
  for (int64_t p = 0; p < a.T * s.blocks; ++p) {
    float* y = a.y + p * piece;
    for (int64_t r = 0; r < s.k; ++r) {
      Butterflies(a.x + p * piece + r * width, width, y + r * width);
    }
    if (s.k > 1) {
      Factor(s.k, width, scratch, scale, scratch + s.k * s.k, y);
    } else {
      Scale(scale, piece, y);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(Hadamard);

void Run(const HadamardArgs& a, const Workspace& w) {
  HWY_DYNAMIC_DISPATCH(Hadamard)(a, static_cast<float*>(w.scratch));
}

const char* WhyNot(const HadamardArgs& a) {
  if (a.shape.m < 4) return "the power-of-two part is shorter than 16";
  return HwyUnavailable();
}

int64_t ScratchBytes(const HadamardArgs& a) {
  return (a.shape.k * a.shape.k + a.shape.k * 16) * static_cast<int64_t>(sizeof(float));
}

}  // namespace

extern const Kernel<HadamardArgs> kHadamardHwy = {"hadamard/hwy", Isa::kHwy,   10, Run,
                                                  WhyNot,         ScratchBytes};

}  // namespace octet
#endif  // HWY_ONCE
