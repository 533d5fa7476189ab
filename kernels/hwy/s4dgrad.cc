#include "kernels/s4dgrad.h"

#include <algorithm>
#include <cstdint>

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/s4dgrad.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/hwy/modes-inl.h"
#include "kernels/kernel.h"
#include "kernels/ssd_chunk.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {
namespace {

struct Layout {
  Layout(const S4dgradArgs& args, void* base) {
    Scratch s(base);
    const int64_t padded = PaddedModes(args.N);
    u = s.Take<float>(args.T);
    g = s.Take<float>(args.T);
    du = s.Take<float>(args.T * 16);
    states = s.Take<float>((args.T + 1) * 2 * kMaxVectors * 16);
    for (float** v : {&A, &B, &C, &dA, &dB, &dC}) {
      *v = s.Take<float>(2 * padded);
    }
    bytes = s.bytes();
  }
  float *u, *g;                     // [T] of one head
  float* du;                        // [T, 16]: sums over the modes that share a lane
  float* states;                    // [T + 1, 2 vectors]: of the modes that are under way
  float *A, *B, *C, *dA, *dB, *dC;  // [2, padded] of one head
  int64_t bytes;
};

// states[t]: the state before token t, of modes n, n + 1, ...
template <int kVectors>
HWY_INLINE void Forward(const Layout& s, int64_t T, int64_t padded, int64_t n) {
  const D d;
  constexpr int64_t kIm = kVectors * kLanes;
  Modes<kVectors> A, B, x;
  A.Load(s.A + n, padded);
  B.Load(s.B + n, padded);
  x.Clear();
  for (int64_t t = 0; t < T; ++t) {
    x.Store(s.states + t * 2 * kIm, kIm);
    const V u = hn::Set(d, s.u[t]);
    for (int i = 0; i < kVectors; ++i) {
      const V to_re = hn::NegMulAdd(A.im[i], x.im[i], hn::Mul(B.re[i], u));
      const V to_im = hn::MulAdd(A.im[i], x.re[i], hn::Mul(B.im[i], u));
      x.re[i] = hn::MulAdd(A.re[i], x.re[i], to_re);
      x.im[i] = hn::MulAdd(A.re[i], x.im[i], to_im);
    }
  }
  x.Store(s.states + T * 2 * kIm, kIm);
}

template <int kVectors>
HWY_INLINE void Backward(const Layout& s, int64_t T, int64_t padded, int64_t n) {
  const D d;
  constexpr int64_t kIm = kVectors * kLanes;
  Modes<kVectors> A, B, C, dA, dB, dC, x, l;
  A.Load(s.A + n, padded);
  B.Load(s.B + n, padded);
  C.Load(s.C + n, padded);
  for (Modes<kVectors>* m : {&dA, &dB, &dC, &l}) {
    m->Clear();
  }
  x.Load(s.states + T * 2 * kIm, kIm);
  for (int64_t t = T - 1; t >= 0; --t) {
    const V u = hn::Set(d, s.u[t]), g = hn::Set(d, s.g[t]);
    V du = hn::LoadU(d, s.du + t * kLanes);
    for (int i = 0; i < kVectors; ++i) {
      dC.re[i] = hn::MulAdd(g, x.re[i], dC.re[i]);
      dC.im[i] = hn::NegMulAdd(g, x.im[i], dC.im[i]);
      const V to_re = hn::MulAdd(A.im[i], l.im[i], hn::Mul(C.re[i], g));
      const V to_im = hn::NegMulAdd(A.im[i], l.re[i], hn::Mul(hn::Neg(C.im[i]), g));
      l.re[i] = hn::MulAdd(A.re[i], l.re[i], to_re);
      l.im[i] = hn::MulAdd(A.re[i], l.im[i], to_im);
    }
    x.Load(s.states + t * 2 * kIm, kIm);
    for (int i = 0; i < kVectors; ++i) {
      dA.AddProduct(l, x, i);
      dB.re[i] = hn::MulAdd(l.re[i], u, dB.re[i]);
      dB.im[i] = hn::MulAdd(l.im[i], u, dB.im[i]);
      du = hn::MulAdd(B.im[i], l.im[i], hn::MulAdd(B.re[i], l.re[i], du));
    }
    hn::StoreU(du, d, s.du + t * kLanes);
  }
  dA.Store(s.dA + n, padded);
  dB.Store(s.dB + n, padded);
  dC.Store(s.dC + n, padded);
}

// The rows of head h, into padded ones or, added, back from them.
void LoadHead(const S4dgradArgs& a, int64_t h, int64_t padded, const Layout& s) {
  const int64_t row = 2 * h * a.N;
  const auto load = [&](const float* from, float* to) {
    std::fill_n(to, 2 * padded, 0.0f);
    std::copy_n(from + row, a.N, to);
    std::copy_n(from + row + a.N, a.N, to + padded);
  };
  load(a.A, s.A);
  load(a.B, s.B);
  load(a.C, s.C);
  for (int64_t t = 0; t < a.T; ++t) {
    s.u[t] = a.u[t * a.H + h];
    s.g[t] = a.dy[t * a.H + h];
  }
  std::fill_n(s.du, a.T * kLanes, 0.0f);
}

void StoreHead(const S4dgradArgs& a, int64_t h, int64_t padded, const Layout& s) {
  const D d;
  const int64_t row = 2 * h * a.N;
  const auto add = [&](const float* from, float* to) {
    for (int64_t n = 0; n < a.N; ++n) {
      to[row + n] += from[n];
      to[row + a.N + n] += from[padded + n];
    }
  };
  add(s.dA, a.dA);
  add(s.dB, a.dB);
  add(s.dC, a.dC);
  float skip = 0;
  for (int64_t t = 0; t < a.T; ++t) {
    skip += s.g[t] * s.u[t];
    const float sum = hn::GetLane(hn::SumOfLanes(d, hn::LoadU(d, s.du + t * kLanes)));
    a.du[t * a.H + h] += sum + a.D[h] * s.g[t];
  }
  a.dD[h] += skip;
}

template <int kVectors>
HWY_NOINLINE void BothWays(const Layout& s, int64_t T, int64_t padded, int64_t n) {
  Forward<kVectors>(s, T, padded, n);
  Backward<kVectors>(s, T, padded, n);
}

void S4dgrad(const S4dgradArgs& a, void* scratch) {
  const Layout s(a, scratch);
  const int64_t padded = PaddedModes(a.N);
  for (int64_t h = 0; h < a.H; ++h) {
    LoadHead(a, h, padded, s);
    int64_t n = 0;
    for (; n + kMaxVectors * kLanes <= padded; n += kMaxVectors * kLanes) {
      BothWays<kMaxVectors>(s, a.T, padded, n);
    }
    for (; n < padded; n += kLanes) {
      BothWays<1>(s, a.T, padded, n);
    }
    StoreHead(a, h, padded, s);
  }
}

int64_t S4dgradScratch(const S4dgradArgs& args) {
  return Layout(args, nullptr).bytes;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(S4dgrad);

void Run(const S4dgradArgs& args, const Workspace& workspace) {
  HWY_DYNAMIC_DISPATCH(S4dgrad)(args, workspace.scratch);
}

// The layout is the same on every target; the static one runs wherever one of them does.
int64_t ScratchBytes(const S4dgradArgs& args) {
  return HWY_STATIC_DISPATCH(S4dgradScratch)(args);
}

}  // namespace

extern const Kernel<S4dgradArgs> kS4dgradHwy = {"s4dgrad/hwy", Isa::kHwy, 10,
                                                Run,           WhyNotHwy, ScratchBytes};

}  // namespace octet
#endif  // HWY_ONCE
