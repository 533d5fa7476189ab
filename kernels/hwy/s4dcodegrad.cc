#include "kernels/s4dcodegrad.h"

#include <algorithm>
#include <cstdint>

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/s4dcodegrad.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/hwy/s4dcode-inl.h"
#include "kernels/kernel.h"
#include "kernels/ssd_chunk.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {
namespace {

struct Layout {
  Layout(const S4dcodegradArgs& a, Scratch s) : head(a.forward, &s) {
    const int64_t T = a.forward.T, padded = PaddedModes(a.forward.N);
    g = s.Take<float>(T);
    du = s.Take<float>(T * 16);
    sums = s.Take<float>(T * 2 * kMaxVectors * 16);
    for (float** v : {&dA, &dB, &dC}) {
      *v = s.Take<float>(2 * padded);
    }
    bytes = s.bytes();
  }
  CodedHead head;
  float* g;             // [T] of one head
  float* du;            // [T, 16]: sums over the modes that share a lane
  float* sums;          // [T, 2 vectors]: states before they are stored, of the modes under way
  float *dA, *dB, *dC;  // [2, padded]
  int64_t bytes;
};

template <class F, int kVectors>
HWY_INLINE void Forward(const S4dcodegradArgs& a, const Layout& s,
                        const ModeCodes<F, kVectors>& codes, int64_t n) {
  const D d;
  constexpr int64_t kIm = kVectors * kLanes;
  const CodedHead& head = s.head;
  const int64_t padded = PaddedModes(a.forward.N);
  const V limit = hn::Set(d, a.forward.limit);
  Modes<kVectors> A, B, x, sum;
  A.Load(head.A + n, padded);
  B.Load(head.B + n, padded);
  x.Clear();
  for (int64_t t = 0; t < a.forward.T; ++t) {
    SumOf(codes, A, B, x, hn::Set(d, head.u[t]), head.words[t], &sum);
    sum.Store(s.sums + t * 2 * kIm, kIm);
    x = sum;
    StoreState(codes, head.words[t], limit, &x);
  }
}

// What is owed to a value, or 0 where a limit acted on it.
HWY_INLINE V Masked(M holds, V l) {
  return hn::IfThenElseZero(holds, l);
}

// The letters of kernels/s4dcodegrad.h.
template <class F, int kVectors>
struct Adjoint {
  HWY_INLINE Adjoint(const S4dcodegradArgs& a, const Layout& layout, int64_t n)
      : s(layout),
        codes(layout.head, n),
        limit(hn::Set(D(), a.forward.limit)),
        most(hn::Set(D(), a.adjoint_limit)) {
    const int64_t padded = PaddedModes(a.forward.N);
    A.Load(s.head.A + n, padded);
    B.Load(s.head.B + n, padded);
    C.Load(s.head.C + n, padded);
    for (Modes<kVectors>* m : {&dA, &dB, &dC, &l}) {
      m->Clear();
    }
  }

  // x_t from s_t.
  HWY_INLINE void StateAfter(int64_t t, Modes<kVectors>* x) const {
    constexpr int64_t kIm = kVectors * kLanes;
    x->Load(s.sums + t * 2 * kIm, kIm);
    StoreState(codes, s.head.words[t], limit, x);
  }

  HWY_INLINE V Limited(V v) const { return hn::Min(hn::Max(v, hn::Neg(most)), most); }
  HWY_INLINE M Inside(V sum, int i) const {
    return hn::And(codes.Holds(sum, i), hn::Le(hn::Abs(sum), limit));
  }

  // From l_x of token t to l_s; adds to dC. `x` is x_t.
  HWY_INLINE void ToSum(int64_t t, const Modes<kVectors>& x) {
    constexpr int64_t kIm = kVectors * kLanes;
    const V g = hn::Set(D(), s.g[t]);
    Modes<kVectors> sum;
    sum.Load(s.sums + t * 2 * kIm, kIm);
    const Modes<kVectors>& read = F::kThree ? sum : x;
    for (int i = 0; i < kVectors; ++i) {
      const V to_re = hn::Mul(C.re[i], g), to_im = hn::Neg(hn::Mul(C.im[i], g));
      dC.re[i] = hn::MulAdd(g, read.re[i], dC.re[i]);
      dC.im[i] = hn::NegMulAdd(g, read.im[i], dC.im[i]);
      if constexpr (F::kThree) {
        l.re[i] = hn::Add(Masked(Inside(sum.re[i], i), Limited(l.re[i])), to_re);
        l.im[i] = hn::Add(Masked(Inside(sum.im[i], i), Limited(l.im[i])), to_im);
      } else {
        l.re[i] = Masked(Inside(sum.re[i], i), Limited(hn::Add(l.re[i], to_re)));
        l.im[i] = Masked(Inside(sum.im[i], i), Limited(hn::Add(l.im[i], to_im)));
      }
    }
  }

  // From l_s of token t to l_x of the token before, whose state is `x`; adds to dA, dB and du.
  HWY_INLINE void ToTerms(int64_t t, const Modes<kVectors>& x) {
    const V u = hn::Set(D(), s.head.u[t]);
    Modes<kVectors> to_added = l;
    if constexpr (F::kThree) {
      Modes<kVectors> decayed, added;
      Terms(A, B, x, u, &decayed, &added);
      for (int i = 0; i < kVectors; ++i) {
        to_added.re[i] = Masked(codes.Holds(added.re[i], i), l.re[i]);
        to_added.im[i] = Masked(codes.Holds(added.im[i], i), l.im[i]);
        l.re[i] = Masked(codes.Holds(decayed.re[i], i), l.re[i]);
        l.im[i] = Masked(codes.Holds(decayed.im[i], i), l.im[i]);
      }
    }
    V du = hn::LoadU(D(), s.du + t * kLanes);
    for (int i = 0; i < kVectors; ++i) {
      dA.AddProduct(l, x, i);
      dB.re[i] = hn::MulAdd(to_added.re[i], u, dB.re[i]);
      dB.im[i] = hn::MulAdd(to_added.im[i], u, dB.im[i]);
      du = hn::MulAdd(B.im[i], to_added.im[i], hn::MulAdd(B.re[i], to_added.re[i], du));
      const V re = hn::MulAdd(A.im[i], l.im[i], hn::Mul(A.re[i], l.re[i]));
      l.im[i] = hn::NegMulAdd(A.im[i], l.re[i], hn::Mul(A.re[i], l.im[i]));
      l.re[i] = re;
    }
    hn::StoreU(du, D(), s.du + t * kLanes);
  }

  const Layout& s;
  const ModeCodes<F, kVectors> codes;
  const V limit, most;
  Modes<kVectors> A, B, C, dA, dB, dC, l;
};

template <class F, int kVectors>
HWY_NOINLINE void BothWays(const S4dcodegradArgs& a, const Layout& s, int64_t n) {
  const int64_t padded = PaddedModes(a.forward.N);
  Adjoint<F, kVectors> adjoint(a, s, n);
  Forward(a, s, adjoint.codes, n);
  Modes<kVectors> x, before;
  adjoint.StateAfter(a.forward.T - 1, &x);
  for (int64_t t = a.forward.T - 1; t >= 0; --t) {
    if (t > 0) {
      adjoint.StateAfter(t - 1, &before);
    } else {
      before.Clear();
    }
    adjoint.ToSum(t, x);
    adjoint.ToTerms(t, before);
    x = before;
  }
  adjoint.dA.Store(s.dA + n, padded);
  adjoint.dB.Store(s.dB + n, padded);
  adjoint.dC.Store(s.dC + n, padded);
}

template <class F>
void RunHead(const S4dcodegradArgs& a, const Layout& s) {
  const int64_t padded = PaddedModes(a.forward.N);
  int64_t n = 0;
  for (; n + kMaxVectors * kLanes <= padded; n += kMaxVectors * kLanes) {
    BothWays<F, kMaxVectors>(a, s, n);
  }
  for (; n < padded; n += kLanes) {
    BothWays<F, 1>(a, s, n);
  }
}

void StoreHead(const S4dcodegradArgs& a, int64_t h, const Layout& s) {
  const int64_t N = a.forward.N, padded = PaddedModes(N), row = 2 * h * N;
  const auto add = [&](const float* from, float* to) {
    for (int64_t n = 0; n < N; ++n) {
      to[row + n] += from[n];
      to[row + N + n] += from[padded + n];
    }
  };
  add(s.dA, a.dA);
  add(s.dB, a.dB);
  add(s.dC, a.dC);
  for (int64_t t = 0; t < a.forward.T; ++t) {
    const V du = hn::LoadU(D(), s.du + t * kLanes);
    a.du[t * a.forward.H + h] += hn::GetLane(hn::SumOfLanes(D(), du));
  }
}

void S4dcodegrad(const S4dcodegradArgs& a, void* scratch) {
  const Layout s(a, Scratch(scratch));
  const int64_t T = a.forward.T, H = a.forward.H;
  for (int64_t h = 0; h < H; ++h) {
    s.head.Load(a.forward, h);
    for (int64_t t = 0; t < T; ++t) {
      s.g[t] = a.dy[t * H + h];
    }
    std::fill_n(s.du, T * kLanes, 0.0f);
    WithForm(a.forward, [&](auto form) { RunHead<decltype(form)>(a, s); });
    StoreHead(a, h, s);
  }
}

int64_t S4dcodegradScratch(const S4dcodegradArgs& a) {
  return Layout(a, Scratch(nullptr)).bytes;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(S4dcodegrad);

void Run(const S4dcodegradArgs& args, const Workspace& workspace) {
  HWY_DYNAMIC_DISPATCH(S4dcodegrad)(args, workspace.scratch);
}

// The layout is the same on every target; the static one runs wherever one of them does.
int64_t ScratchBytes(const S4dcodegradArgs& args) {
  return HWY_STATIC_DISPATCH(S4dcodegradScratch)(args);
}

}  // namespace

extern const Kernel<S4dcodegradArgs> kS4dcodegradHwy = {"s4dcodegrad/hwy", Isa::kHwy,   10, Run,
                                                        WhyNotHwy,         ScratchBytes};

}  // namespace octet
#endif  // HWY_ONCE
