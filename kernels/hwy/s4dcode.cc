#include "kernels/s4dcode.h"

#include <algorithm>
#include <cstdint>

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/s4dcode.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/hwy/s4dcode-inl.h"
#include "kernels/kernel.h"
#include "kernels/math.h"
#include "kernels/ssd_chunk.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {
namespace {

struct Layout {
  Layout(const S4dcodeArgs& a, Scratch s) : head(a, &s) {
    lanes = s.Take<float>(a.T * 16);
    bytes = s.bytes();
  }
  CodedHead head;
  float* lanes;  // [T, 16]: the virtual lanes of each token
  int64_t bytes;
};

// Modes n, n + 1, ... of a head over all tokens.
template <class F, int kVectors>
HWY_NOINLINE void ScanModes(const S4dcodeArgs& a, const Layout& s, int64_t n) {
  const D d;
  const CodedHead& head = s.head;
  const int64_t padded = PaddedModes(a.N);
  const ModeCodes<F, kVectors> codes(head, n);
  const V limit = hn::Set(d, a.limit);
  Modes<kVectors> A, B, C, x, sum;
  A.Load(head.A + n, padded);
  B.Load(head.B + n, padded);
  C.Load(head.C + n, padded);
  x.Clear();
  for (int64_t t = 0; t < a.T; ++t) {
    SumOf(codes, A, B, x, hn::Set(d, head.u[t]), head.words[t], &sum);
    x = sum;
    StoreState(codes, head.words[t], limit, &x);
    const Modes<kVectors>& read = F::kThree ? sum : x;
    for (int i = 0; i < kVectors; ++i) {
      float* lane = s.lanes + t * 16 + (n + i * kLanes) % 16;
      const V before = hn::Add(hn::LoadU(d, lane), hn::Mul(C.re[i], read.re[i]));
      hn::StoreU(hn::Sub(before, hn::Mul(C.im[i], read.im[i])), d, lane);
    }
  }
}

template <class F>
void ScanHead(const S4dcodeArgs& a, const Layout& s) {
  const int64_t padded = PaddedModes(a.N);
  int64_t n = 0;
  for (; n + kMaxVectors * kLanes <= padded; n += kMaxVectors * kLanes) {
    ScanModes<F, kMaxVectors>(a, s, n);
  }
  for (; n < padded; n += kLanes) {
    ScanModes<F, 1>(a, s, n);
  }
}

void S4dcode(const S4dcodeArgs& a, void* scratch) {
  const Layout s(a, Scratch(scratch));
  for (int64_t h = 0; h < a.H; ++h) {
    s.head.Load(a, h);
    std::fill_n(s.lanes, a.T * 16, 0.0f);
    WithForm(a, [&](auto form) { ScanHead<decltype(form)>(a, s); });
    for (int64_t t = 0; t < a.T; ++t) {
      a.y[t * a.H + h] = FoldLanes16(s.lanes + t * 16);
    }
  }
}

int64_t S4dcodeScratch(const S4dcodeArgs& a) {
  return Layout(a, Scratch(nullptr)).bytes;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(S4dcode);

void Run(const S4dcodeArgs& args, const Workspace& workspace) {
  HWY_DYNAMIC_DISPATCH(S4dcode)(args, workspace.scratch);
}

const char* WhyNot(const S4dcodeArgs& a) {
  if (a.dynamic_bits != 0) return "only static codes";
  if (a.rounding == StateRounding::kFeedback) return "no error feedback";
  if (a.rounding == StateRounding::kStochastic && !a.shared_noise) return "only shared noise";
  return HwyUnavailable();
}

// The layout is the same on every target; the static one runs wherever one of them does.
int64_t ScratchBytes(const S4dcodeArgs& args) {
  return HWY_STATIC_DISPATCH(S4dcodeScratch)(args);
}

}  // namespace

extern const Kernel<S4dcodeArgs> kS4dcodeHwy = {"s4dcode/hwy", Isa::kHwy, 10,
                                                Run,           WhyNot,    ScratchBytes};

}  // namespace octet
#endif  // HWY_ONCE
