#include "kernels/peak.h"

#include <cstdint>
#include <cstring>

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/peak.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/kernel.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

// Modulo 2^32: SumOfLanes may add as signed numbers, whose overflow has no meaning.
template <class D>
uint32_t SumOfWords(D d, hn::Vec<D> v) {
  alignas(64) hn::TFromD<D> lanes[HWY_MAX_BYTES / 4];
  hn::Store(v, d, lanes);
  uint32_t sum = 0;
  for (size_t i = 0; i < hn::Lanes(d); ++i) {
    sum += static_cast<uint32_t>(lanes[i]);
  }
  return sum;
}

// More sums than the latency of a multiply-add times the units that do one.
constexpr int kSums = 12;

double MultiplyAdds(int64_t rounds, uint32_t* out) {
  const hn::ScalableTag<float> d;
  // Sums converge to 4/3: neither infinities nor denormals. Their starts differ, or the compiler
  // would compute one for all.
  const auto x = hn::Set(d, 0.25f), one = hn::Set(d, 1.0f);
  auto s0 = hn::Set(d, 0.0f), s1 = hn::Set(d, 1.0f), s2 = hn::Set(d, 2.0f);
  auto s3 = hn::Set(d, 3.0f), s4 = hn::Set(d, 4.0f), s5 = hn::Set(d, 5.0f);
  auto s6 = hn::Set(d, 6.0f), s7 = hn::Set(d, 7.0f), s8 = hn::Set(d, 8.0f);
  auto s9 = hn::Set(d, 9.0f), s10 = hn::Set(d, 10.0f), s11 = hn::Set(d, 11.0f);
  for (int64_t r = 0; r < rounds; ++r) {
    s0 = hn::MulAdd(s0, x, one);
    s1 = hn::MulAdd(s1, x, one);
    s2 = hn::MulAdd(s2, x, one);
    s3 = hn::MulAdd(s3, x, one);
    s4 = hn::MulAdd(s4, x, one);
    s5 = hn::MulAdd(s5, x, one);
    s6 = hn::MulAdd(s6, x, one);
    s7 = hn::MulAdd(s7, x, one);
    s8 = hn::MulAdd(s8, x, one);
    s9 = hn::MulAdd(s9, x, one);
    s10 = hn::MulAdd(s10, x, one);
    s11 = hn::MulAdd(s11, x, one);
  }
  const auto a = hn::Add(hn::Add(s0, s1), hn::Add(s2, s3));
  const auto b = hn::Add(hn::Add(s4, s5), hn::Add(s6, s7));
  const auto c = hn::Add(hn::Add(s8, s9), hn::Add(s10, s11));
  const float total = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(a, b), c)));
  std::memcpy(out, &total, sizeof(total));
  return 2.0 * kSums * static_cast<double>(hn::Lanes(d)) * static_cast<double>(rounds);
}

double Dots(int64_t rounds, uint32_t* out) {
  const hn::ScalableTag<int16_t> d16;
  const hn::ScalableTag<int32_t> d;
  using V = hn::Vec<decltype(d)>;
  constexpr int kRows = 4;
  alignas(64) int16_t rows[kRows * HWY_MAX_BYTES / 2];
  const auto N = static_cast<int>(hn::Lanes(d16));
  for (int i = 0; i < kRows * N; ++i) {
    rows[i] = static_cast<int16_t>(i % 255 - 127);
  }
  V sum[kRows], odd[kRows];
  for (int i = 0; i < kRows; ++i) {
    sum[i] = odd[i] = hn::Zero(d);
  }
  // It changes, or the compiler would multiply once and for all.
  auto x = hn::Iota(d16, -64);
  const auto step = hn::Set(d16, 1);
  for (int64_t r = 0; r < rounds; ++r) {
    for (int i = 0; i < kRows; ++i) {
      sum[i] = hn::ReorderWidenMulAccumulate(d, x, hn::Load(d16, rows + i * N), sum[i], odd[i]);
    }
    x = hn::Add(x, step);
  }
  V total = hn::Zero(d);
  for (int i = 0; i < kRows; ++i) {
    total = hn::Add(total, hn::Add(sum[i], odd[i]));
  }
  *out = SumOfWords(d, total);
  return 2.0 * kRows * N * static_cast<double>(rounds);
}

template <int kStreams>
uint32_t ReadOnce(const std::byte* data, int64_t part) {
  const hn::ScalableTag<uint32_t> d;
  const auto N = static_cast<int64_t>(hn::Lanes(d)) * 4;
  // Far enough ahead for memory to answer in time.
  constexpr int64_t kAhead = 4096;
  auto even = hn::Zero(d), odd = hn::Zero(d);
  for (int64_t i = 0; i < part; i += 64) {
    for (int s = 0; s < kStreams; ++s) {
      const std::byte* from = data + s * part + i;
      if (i + kAhead < part) hwy::Prefetch(from + kAhead);
      for (int64_t j = 0; j < 64; j += N) {
        const auto v = hn::Load(d, reinterpret_cast<const uint32_t*>(from + j));
        auto& sum = s % 2 == 0 ? even : odd;
        sum = hn::Add(sum, v);
      }
    }
  }
  return SumOfWords(d, hn::Add(even, odd));
}

double Read(const PeakArgs& a) {
  const int64_t part = a.bytes / a.streams;
  uint32_t total = 0;
  for (int64_t r = 0; r < a.rounds; ++r) {
    switch (a.streams) {
      case 1:
        total += ReadOnce<1>(a.data, part);
        break;
      case 4:
        total += ReadOnce<4>(a.data, part);
        break;
      default:
        total += ReadOnce<8>(a.data, part);
        break;
    }
  }
  *a.sum = total;
  return static_cast<double>(part * a.streams) * static_cast<double>(a.rounds);
}

void Peak(const PeakArgs& a) {
  switch (a.unit) {
    case PeakUnit::kF32:
      *a.done = MultiplyAdds(a.rounds, a.sum);
      break;
    case PeakUnit::kI8:
      *a.done = Dots(a.rounds, a.sum);
      break;
    case PeakUnit::kRead:
      *a.done = Read(a);
      break;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(Peak);

void Run(const PeakArgs& a, const Workspace&) {
  HWY_DYNAMIC_DISPATCH(Peak)(a);
}

const char* WhyNot(const PeakArgs& a) {
  if (a.unit == PeakUnit::kRead && a.streams != 1 && a.streams != 4 && a.streams != 8) {
    return "it reads 1, 4 or 8 streams";
  }
  return HwyUnavailable();
}

}  // namespace

extern const Kernel<PeakArgs> kPeakHwy = {"peak/hwy", Isa::kHwy, 10,
                                          Run,        WhyNot,    NoScratch<PeakArgs>};

}  // namespace octet
#endif  // HWY_ONCE
