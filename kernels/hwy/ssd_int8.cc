#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/hwy/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hwy/ssd_int8.cc"
#include "base/checked.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/hwy/codec-inl.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/hwy/ssd_pass-inl.h"
#include "kernels/hwy/ssd_scan-inl.h"
#include "kernels/hwy/ssd_state-inl.h"
#include "kernels/hwy/ssd_tile-inl.h"
#include "kernels/kernel.h"
#include "kernels/math.h"
#include "kernels/ssd.h"
#include "kernels/ssd_chunk.h"
#include "tensor/codecs/uniform.h"

// Templates over T, the type of the packed codes: int8 where the processor multiplies bytes, else
// int16 (kernels/hwy/ssd_tile-inl.h); and over X, the type of the operands of stage 2: T, or int16
// for units of X_s that go beyond int8. The results are the same integers.

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {
namespace {

using DF = hn::ScalableTag<float>;
using DI = hn::ScalableTag<int32_t>;
constexpr int64_t kLanes = HWY_LANES(float);

// Rows of a head's state that stages 2 and 3 take at a time, so that the sums of stage 2 are still
// in the first-level cache when stage 3 reads them.
constexpr int64_t kBlockRows = 32;

// What turns a code into its place in the right factor: code + 128 for int8, the code for int16.
template <class T>
constexpr uint32_t kRightMask = sizeof(T) == 1 ? 0x80808080u : 0u;

// All matrices are padded to multiples of 16 in both dimensions; codes are stored as T and sized
// for int16.
struct Int8Layout {
  Int8Layout(const SsdArgs& args, void* base) : scratch(base), head(args, &scratch) {
    L16 = Pad16(LongestChunk(args));
    P16 = Pad16(args.P);
    N16 = Pad16(args.N);
    B = scratch.Take<int32_t>(L16 * N16 / 2);
    C = scratch.Take<int32_t>(L16 * N16 / 2);
    B_words = scratch.Take<int32_t>(L16 * N16 / 2);
    c_sums = scratch.Take<int32_t>(L16);
    score = scratch.Take<float>(L16 * L16);
    x_words = scratch.Take<int32_t>(L16 * P16 / 2);
    x_sums = scratch.Take<int32_t>(P16);
    x_scale = scratch.Take<float>(P16);
    x_inverse = scratch.Take<float>(P16);
    state = scratch.Take<int32_t>(P16 * N16 / 2);
    rows = scratch.Take<float>(kPassRows * N16);
    transposed = scratch.Take<int32_t>(N16 * std::max(L16, P16) / 2);
    acc = scratch.Take<int32_t>(std::max({L16 * L16, kBlockRows * N16, L16 * P16}));
    carried = scratch.Take<float>(L16 * P16);
    carried_scale = scratch.Take<double>(P16);
    local_scale = scratch.Take<double>(P16);
    scale = scratch.Take<float>(P16);
    inverse = scratch.Take<float>(P16);
    most = scratch.Take<float>(kBlockRows * 16);
    next_scale = scratch.Take<float>(args.H * P16);
  }
  Scratch scratch;
  HeadTile head;
  int64_t L16, P16, N16;
  int32_t* B;             // codes [L16, N16]
  int32_t* C;             // codes [L16, N16]
  int32_t* B_words;       // [L16 / kPerWord<X>, N16], right factor of stage 2
  int32_t* c_sums;        // [L16]
  float* score;           // [L16, L16], decoded CB codes
  int32_t* x_words;       // [L16 / kPerWord<X>, P16], left factor of stage 2, transposed
  int32_t* x_sums;        // [P16]
  float* x_scale;         // [P16]
  float* x_inverse;       // [P16]
  int32_t* state;         // codes [P16, N16]
  float* rows;            // [kPassRows, N16]
  int32_t* transposed;    // [N16 / kPerWord, .]: right factor of stage 4, then of stage 5
  int32_t* acc;           // product of the stage at work
  float* carried;         // [L16, P16]
  double* carried_scale;  // [P16]
  double* local_scale;    // [P16], makes sums of S_loc values
  float* scale;           // [P16], of the states that enter, any in the padding
  float* inverse;         // [P16], 1 / scale
  float* most;            // [kBlockRows, 16], lanes of the largest magnitudes that leave
  float* next_scale;      // [H, P16], of rows passed where they are: scale in the next chunk
};

// Stores n codes as T; returns their sum.
template <class T>
int32_t WidenRow(const int8_t* codes, int64_t n, T* row) {
  const DI d;
  auto sum = hn::Zero(d);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const auto code = hn::PromoteTo(d, hn::LoadU(hn::Rebind<int8_t, DI>(), codes + i));
    sum = hn::Add(sum, code);
    StoreCodes(DF(), code, row + i);
  }
  int32_t total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < n; ++i) {
    row[i] = codes[i];
    total += codes[i];
  }
  return total;
}

// Rows of B or C of a group as T with zeros in the padding, and each row's sum if asked for.
template <class T>
void WidenRows(const SsdArgs& args, const void* data, int64_t t0, int64_t len, int64_t g,
               int64_t N16, T* out, int32_t* sums) {
  const auto* from = static_cast<const int8_t*>(data) + t0 * args.bc_stride + g * args.N;
  for (int64_t k = 0; k < len; ++k) {
    T* row = out + k * N16;
    const int32_t sum = WidenRow(from + k * args.bc_stride, args.N, row);
    std::fill(row + args.N, row + N16, T{0});
    if (sums != nullptr) sums[k] = sum;
  }
  std::fill(out + len * N16, out + Pad16(len) * N16, T{0});
  if (sums != nullptr) std::fill(sums + len, sums + Pad16(len), 0);
}

// out[q, n] holds the values of rows q * kPerWord<X> + i, i < kPerWord<X>, at column n.
template <class X, class T>
void InterleaveRows(const T* rows, int64_t len, int64_t N16, int32_t* out) {
  constexpr auto kMask = static_cast<X>(kRightMask<X>);
  for (int64_t q = 0; q * kPerWord<X> < len; ++q) {
    X* words = reinterpret_cast<X*>(out + q * N16);
    for (int64_t i = 0; i < kPerWord<X>; ++i) {
      const T* row = rows + (q * kPerWord<X> + i) * N16;
      for (int64_t n = 0; n < N16; ++n) {
        words[n * kPerWord<X> + i] = static_cast<X>(row[n] ^ kMask);
      }
    }
  }
}

// The largest |acc[m, k]| with k <= m < len. What lies above the diagonal was partly computed.
int32_t CausalAbsMax(const int32_t* acc, int64_t stride, int64_t len) {
  const DI d;
  auto most = hn::Zero(d);
  for (int64_t m = 0; m < len; ++m, acc += stride) {
    int64_t k = 0;
    for (; k + kLanes <= m + 1; k += kLanes) {
      most = hn::Max(most, hn::Abs(hn::LoadU(d, acc + k)));
    }
    if (k > m) continue;
    const auto causal = hn::FirstN(d, static_cast<size_t>(m + 1 - k));
    most = hn::Max(most, hn::Abs(hn::IfThenElseZero(causal, hn::LoadU(d, acc + k))));
  }
  return hn::GetLane(hn::MaxOfLanes(d, most));
}

// Stage 4, only up to the diagonal; also packs B and C for the other stages.
template <class T, class X>
void Int8Score(const SsdArgs& args, int64_t t0, int64_t len, int64_t g, const Int8Layout& s) {
  constexpr int64_t kPer = kPerWord<T>;
  T* B = reinterpret_cast<T*>(s.B);
  WidenRows(args, args.B, t0, len, g, s.N16, B, nullptr);
  WidenRows(args, args.C, t0, len, g, s.N16, reinterpret_cast<T*>(s.C), s.c_sums);
  InterleaveRows<X>(B, len, s.N16, s.B_words);
  TransposeWords(s.B, s.N16 / kPer, Pad16(len), s.N16 / kPer, s.transposed, s.L16, kRightMask<T>);
  for (int64_t m = 0; m < len; m += kPad) {
    const int64_t rows = std::min(kPad, len - m);
    const LeftFactor<int32_t> left = {s.C + m * s.N16 / kPer, s.N16 / kPer, 1, s.c_sums + m};
    Multiply<T>(left, rows, 0, CeilDiv(args.N, kPer), {s.transposed, s.L16}, m + rows,
                s.acc + m * s.L16, s.L16);
  }
}

// Codes of the scores in s.acc, decoded to s.score.
void QuantizeScore(const SsdArgs& args, int64_t len, int64_t g, const Int8Layout& s) {
  const SsdScales& scales = *args.scales;
  // DequantizeAcc is monotone, so that the largest sum gives the largest score.
  const float scale = scales.score != nullptr
                          ? scales.score[g]
                          : ScaleForAbsMax(DequantizeAcc(CausalAbsMax(s.acc, s.L16, len),
                                                         scales.C[g], scales.B[g]));
  const double product_scale = static_cast<double>(scales.C[g]) * scales.B[g];
  const DF d;
  const auto inverse = hn::Set(d, 1.0f / scale);
  for (int64_t m = 0; m < len; ++m) {
    for (int64_t k = 0; k <= m; k += kLanes) {
      const auto acc = hn::LoadU(DI(), s.acc + m * s.L16 + k);
      const auto code = QuantizeV(d, DequantizeV(d, acc, product_scale), inverse);
      hn::StoreU(hn::Mul(hn::ConvertTo(d, code), hn::Set(d, scale)), d, s.score + m * s.L16 + k);
    }
  }
}

// Scales of the columns of X_s and their reciprocals.
void ScaleX(const SsdArgs& args, int64_t len, int64_t h, const Int8Layout& s) {
  std::fill(s.x_scale, s.x_scale + s.P16, 1.0f);
  if (args.scales->x_scaled != nullptr) {
    std::copy_n(args.scales->x_scaled + h * args.P, args.P, s.x_scale);
  } else {
    const DF d;
    for (int64_t p = 0; p < s.P16; p += kLanes) {
      auto most = hn::Zero(d);
      for (int64_t k = 0; k < len; ++k) {
        const auto x = hn::LoadU(d, s.head.x + k * s.P16 + p);
        most = hn::Max(most, hn::Abs(hn::Mul(x, hn::Set(d, s.head.factor[k]))));
      }
      hn::StoreU(most, d, s.x_scale + p);
    }
    for (int64_t p = 0; p < s.P16; ++p) {
      s.x_scale[p] = FitCodec(args.scales->x_scaled_codec, {-s.x_scale[p], s.x_scale[p]}).scale;
    }
  }
  for (int64_t p = 0; p < s.P16; ++p) {
    s.x_inverse[p] = 1.0f / s.x_scale[p];
  }
}

// Quantizes X_s into s.x_words and s.x_sums, as units of Code (kernels/hwy/codec-inl.h). Returns
// the words of the inner dimension outside of which all are zero: early tokens of a chunk decay
// below half a step.
template <class X, class Code>
HeadRange PackX(int64_t len, const Int8Layout& s) {
  constexpr int64_t kPer = kPerWord<X>;
  constexpr int kBits = 8 * sizeof(X);
  const DF d;
  const DI di;
  std::fill(s.x_sums, s.x_sums + s.P16, 0);
  const auto mask = hn::Set(di, (1 << kBits) - 1);
  HeadRange used = {CeilDiv(len, kPer), 0};
  for (int64_t q = 0; q * kPer < len; ++q) {
    auto any = hn::Zero(di);
    for (int64_t p = 0; p < s.P16; p += kLanes) {
      auto word = hn::Zero(di);
      auto sum = hn::LoadU(di, s.x_sums + p);
      const auto scale = hn::LoadU(d, s.x_scale + p);
      const auto inverse = hn::LoadU(d, s.x_inverse + p);
      for (int64_t i = std::min(kPer, len - q * kPer) - 1; i >= 0; --i) {
        const int64_t k = q * kPer + i;
        const auto x = hn::LoadU(d, s.head.x + k * s.P16 + p);
        const auto value = hn::Mul(x, hn::Set(d, s.head.factor[k]));
        const auto units = Code::Units(value, scale, inverse);
        word = hn::Or(hn::ShiftLeft<kBits>(word), hn::And(units, mask));
        sum = hn::Add(sum, units);
      }
      hn::StoreU(word, di, s.x_words + q * s.P16 + p);
      hn::StoreU(sum, di, s.x_sums + p);
      any = hn::Or(any, word);
    }
    if (hn::AllTrue(di, hn::Eq(any, hn::Zero(di)))) continue;
    used.begin = std::min(used.begin, q);
    used.end = q + 1;
  }
  return used;
}

template <class X>
HeadRange PackX(Codec codec, int64_t len, const Int8Layout& s) {
  if constexpr (sizeof(X) == 2) {
    if (codec == Codec::kSe8s) return PackX<X, codecs::Se8s>(len, s);
    if (codec == Codec::kSe9) return PackX<X, codecs::Se9>(len, s);
    if (codec == Codec::kInt16) return PackX<X, codecs::Int16>(len, s);
  }
  return PackX<X, codecs::Uniform>(len, s);
}

// Stage 3 of a head in a chunk.
struct HeadPass {
  enum class Mode : uint8_t { kCodes, kFloats, kFloatsOfFew };
  int64_t t0, end, h;  // the chunk's first token and one past its last, head
  float decay, a_last;
  Mode mode;
  bool in_place;  // rows of fp32 that need no padding are passed where they are
  bool plain;     // HasPlainCodes
  // Whether scales come from the values that enter. Such values left the chunk before, so that
  // their scales are those stored with the codes, or s.next_scale.
  bool own_scales;
};

// products[i] = factors[i] * by, for n values, a multiple of 16. Returns whether DequantizeFewV
// takes them all and sums up to `largest`.
bool MultiplyScales(const float* factors, double by, int64_t n, int64_t largest, double* products) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> df;
  const auto step = static_cast<int64_t>(hn::Lanes(d));
  bool few = true;
  for (int64_t i = 0; i < n; i += step) {
    const auto product = hn::Mul(hn::PromoteTo(d, hn::LoadU(df, factors + i)), hn::Set(d, by));
    hn::StoreU(product, d, products + i);
    few &= hn::AllTrue(d, hn::Eq(hn::PromoteTo(d, hn::DemoteTo(df, product)), product));
  }
  return few && largest <= kMostOfFew;
}

HeadPass PassOf(const SsdArgs& args, int64_t t0, int64_t len, int64_t g, int64_t h,
                const Int8Layout& s) {
  using Mode = HeadPass::Mode;
  const Codec codec = args.scales->x_scaled_codec;
  const double of_units = static_cast<double>(UnitOf(codec, 1.0f)) * args.scales->B[g];
  const bool few =
      MultiplyScales(s.x_scale, of_units, s.P16, len * MaxUnits(codec) * 127, s.local_scale);
  const bool in_codes = args.passing == StatePassing::kGateQ7;
  HeadPass pass = {};
  pass.t0 = t0;
  pass.end = t0 + len;
  pass.h = h;
  pass.decay = s.head.decay[len - 1];
  pass.a_last = s.head.a[len - 1];
  pass.mode = in_codes ? Mode::kCodes : few ? Mode::kFloatsOfFew : Mode::kFloats;
  pass.in_place =
      args.h.format.codec == StateCodec::kF32 && args.h.unrounded == nullptr && args.N == s.N16;
  pass.plain = HasPlainCodes(args.h, args.N);
  pass.own_scales = !in_codes && args.scales->state == nullptr;
  return pass;
}

void StoreRows(const SsdArgs& args, const HeadPass& pass, int64_t first, int64_t count,
               float* const* rows) {
  for (int64_t r = 0; r < count; ++r) {
    StoreStateRowV(args.h, first + r, args.N, pass.end, rows[r]);
  }
}

// Row p of a head that is passed where it is.
float* StateInPlace(const SsdArgs& args, const HeadPass& pass, int64_t p) {
  return static_cast<float*>(args.h.data) + (pass.h * args.P + p) * args.N;
}

// kPassRows rows from p on that EnterAsTheyAre.
template <class T>
void PassStoredRows(const SsdArgs& args, const HeadPass& pass, int64_t p, const Int8Layout& s) {
  const int64_t first = pass.h * args.P + p;
  const auto* stored = static_cast<const int8_t*>(args.h.data) + first * args.N;
  T* codes = reinterpret_cast<T*>(s.state) + p * s.N16;
  float* rows[kPassRows];
  HWY_ALIGN float lanes[kPassRows * 16];
  for (int64_t r = 0; r < kPassRows; ++r, stored += args.N, codes += s.N16) {
    rows[r] = s.rows + r * s.N16;
    const LocalRow local = {s.acc + (p + r) % kBlockRows * s.N16, s.local_scale[p + r]};
    const float scale = args.h.scales[first + r];
    s.scale[p + r] = scale;
    float* most = lanes + r * 16;
    if (pass.mode == HeadPass::Mode::kFloatsOfFew) {
      PassStored<true>(pass.decay, scale, local, args.N, stored, codes, rows[r], most);
    } else {
      PassStored<false>(pass.decay, scale, local, args.N, stored, codes, rows[r], most);
    }
  }
  if (!StoreFittingRows(args.h, first, args.N, rows, lanes)) {
    StoreRows(args, pass, first, kPassRows, rows);
  }
}

// Stage 3 of `count` rows from p on, which are [count, N16] at `state`.
template <class T>
void PassState(const HeadPass& pass, int64_t p, int64_t count, float* state, const Int8Layout& s) {
  PassedRows<T> rows = {};
  rows.count = count;
  rows.N16 = s.N16;
  rows.ahead = pass.in_place ? kPassRows * s.N16 : 0;
  rows.state = state;
  rows.acc = s.acc + p % kBlockRows * s.N16;
  rows.local_scale = s.local_scale + p;
  rows.scale = s.scale + p;
  rows.inverse = s.inverse + p;
  rows.codes = reinterpret_cast<T*>(s.state) + p * s.N16;
  rows.most = s.most + p % kBlockRows * 16;
  if (pass.mode == HeadPass::Mode::kFloatsOfFew && pass.own_scales) {
    PassFloats<true, true>(pass.decay, rows);
  } else if (pass.mode == HeadPass::Mode::kFloatsOfFew) {
    PassFloats<true, false>(pass.decay, rows);
  } else if (pass.mode == HeadPass::Mode::kFloats) {
    PassFloats<false, false>(pass.decay, rows);
  } else {
    PassCodes(pass.a_last, rows);
  }
}

// `count` <= kPassRows rows from p on, by way of memory in fp32.
template <class T>
void PassRows(const SsdArgs& args, const HeadPass& pass, int64_t p, int64_t count,
              const Int8Layout& s) {
  const int64_t first = pass.h * args.P + p;
  std::fill(s.rows, s.rows + kPassRows * s.N16, 0.0f);
  float* rows[kPassRows];
  for (int64_t r = 0; r < kPassRows; ++r) {
    rows[r] = s.rows + r * s.N16;
    if (r < count) LoadStateRowV(args.h, first + r, args.N, rows[r]);
  }
  float* scale = s.scale + p;
  if (args.scales->state != nullptr) {
    std::copy_n(args.scales->state + first, count, scale);
  } else {
    ScaleRows(rows, s.N16, scale);
  }
  for (int64_t r = 0; r < count; ++r) {
    s.inverse[p + r] = 1.0f / scale[r];
  }
  PassState<T>(pass, p, count, s.rows, s);
  if (pass.plain && count == kPassRows && StoreFittingRows(args.h, first, args.N, rows)) return;
  StoreRows(args, pass, first, count, rows);
}

// s.scale and s.inverse of rows [begin, end) of a head, which are passed where they are.
void ScaleInPlace(const SsdArgs& args, const HeadPass& pass, int64_t begin, int64_t end,
                  const Int8Layout& s) {
  const int64_t head = pass.h * args.P;
  if (args.scales->state != nullptr) {
    std::copy_n(args.scales->state + head + begin, end - begin, s.scale + begin);
  } else if (pass.t0 > 0) {
    std::copy_n(s.next_scale + pass.h * s.P16 + begin, end - begin, s.scale + begin);
  } else {
    for (int64_t p = begin; p < end; p += kPassRows) {
      float* rows[kPassRows];  // the last again, where there are fewer
      for (int64_t r = 0; r < kPassRows; ++r) {
        rows[r] = StateInPlace(args, pass, std::min(p + r, end - 1));
      }
      ScaleRows(rows, args.N, s.scale + p);
    }
  }
  for (int64_t p = begin; p < end; ++p) {
    s.inverse[p] = 1.0f / s.scale[p];
  }
}

// Rows [begin, end) of a head where they are.
template <class T>
void PassInPlace(const SsdArgs& args, const HeadPass& pass, int64_t begin, int64_t end,
                 const Int8Layout& s) {
  ScaleInPlace(args, pass, begin, end, s);
  PassState<T>(pass, begin, end - begin, StateInPlace(args, pass, begin), s);
  for (int64_t p = begin; p < end && pass.own_scales; p += kPassRows) {
    hn::StoreU(ScaleForAbsMaxV(MaxRows(s.most + p % kBlockRows * 16)), Four(),
               s.next_scale + pass.h * s.P16 + p);
  }
}

// Rows [begin, end) of a head by way of s.rows.
template <class T>
void PassCopies(const SsdArgs& args, const HeadPass& pass, int64_t begin, int64_t end,
                const Int8Layout& s) {
  for (int64_t p = begin; p < end; p += kPassRows) {
    const int64_t count = std::min(kPassRows, end - p);
    if (pass.plain && pass.own_scales && count == kPassRows &&
        EnterAsTheyAre(args.h, pass.h * args.P + p, args.N)) {
      PassStoredRows<T>(args, pass, p, s);
    } else {
      PassRows<T>(args, pass, p, count, s);
    }
  }
}

// Stages 2 and 3 of a head: leaves the codes of what enters in s.state, their scales in s.scale.
template <class T, class X>
void Int8States(const SsdArgs& args, int64_t t0, int64_t len, int64_t g, int64_t h,
                const Int8Layout& s) {
  ScaleX(args, len, h, s);
  const HeadRange used = PackX<X>(args.scales->x_scaled_codec, len, s);
  const HeadPass pass = PassOf(args, t0, len, g, h, s);
  for (int64_t p = 0; p < args.P; p += kBlockRows) {
    const int64_t end = std::min(p + kBlockRows, args.P);
    Multiply<X>({s.x_words + p, 1, s.P16, s.x_sums + p}, end - p, used.begin, used.end,
                {s.B_words, s.N16}, args.N, s.acc, s.N16);
    Lap(args, SsdStage::kLocalState);
    pass.in_place ? PassInPlace<T>(args, pass, p, end, s) : PassCopies<T>(args, pass, p, end, s);
    Lap(args, SsdStage::kPassing);
  }
}

// S_c C_m for all tokens of the chunk.
template <class T>
void Int8Carried(const SsdArgs& args, int64_t t0, int64_t len, int64_t g, const Int8Layout& s) {
  constexpr int64_t kPer = kPerWord<T>;
  if (t0 == 0 && AllZero(s.state, s.P16 * s.N16 / kPer)) {  // as where a sequence begins
    std::fill(s.carried, s.carried + len * s.P16, 0.0f);
    return;
  }
  TransposeWords(s.state, s.N16 / kPer, s.P16, s.N16 / kPer, s.transposed, s.P16, kRightMask<T>);
  Multiply<T>({s.C, s.N16 / kPer, 1, s.c_sums}, len, 0, CeilDiv(args.N, kPer),
              {s.transposed, s.P16}, args.P, s.acc, s.P16);
  const bool few =
      MultiplyScales(s.scale, args.scales->C[g], s.P16, args.N * 127 * 127, s.carried_scale);
  const DF d;
  const hn::Rebind<double, hn::Half<DF>> dd;
  for (int64_t p = 0; p < s.P16; p += kLanes) {
    const auto lower = hn::LoadU(dd, s.carried_scale + p);
    const auto upper = hn::LoadU(dd, s.carried_scale + p + kLanes / 2);
    const hn::Half<DF> dh;
    const auto scale = hn::Combine(d, hn::DemoteTo(dh, upper), hn::DemoteTo(dh, lower));
    for (int64_t m = 0; m < len; ++m) {
      const auto acc = hn::LoadU(DI(), s.acc + m * s.P16 + p);
      const auto value = few ? DequantizeFewV(d, acc, scale) : DequantizeV(d, acc, lower, upper);
      hn::StoreU(value, d, s.carried + m * s.P16 + p);
    }
  }
}

template <class T, class X>
void RunCodes(const SsdArgs& args, void* scratch) {
  const Int8Layout s(args, scratch);
  // Rows beyond P are read by TransposeWords and their products never used.
  std::fill(s.state, s.state + s.P16 * s.N16 / 2, 0);
  std::fill(s.scale, s.scale + s.P16, 1.0f);
  std::fill(s.most, s.most + kBlockRows * 16, 0.0f);
  ForEachChunk(args, [&](int64_t t0, int64_t len, int64_t g, HeadRange heads) HWY_ATTR {
    Int8Score<T, X>(args, t0, len, g, s);
    QuantizeScore(args, len, g, s);
    Lap(args, SsdStage::kScore);
    for (int64_t h = heads.begin; h < heads.end; ++h) {
      LoadHead(args, t0, len, h, s.head);
      Lap(args, SsdStage::kCumsum);
      Int8States<T, X>(args, t0, len, g, h, s);
      Int8Carried<T>(args, t0, len, g, s);
      Scan(args, t0, len, h, s.head, s.score, s.L16, s.carried);
      Lap(args, SsdStage::kScan);
    }
  });
}

void SsdInt8(const SsdArgs& args, void* scratch) {
  if (!HaveQuads()) {
    RunCodes<int16_t, int16_t>(args, scratch);
  } else if (args.scales->x_scaled_codec == Codec::kUniform) {
    RunCodes<int8_t, int8_t>(args, scratch);
  } else {
    RunCodes<int8_t, int16_t>(args, scratch);
  }
}

int64_t SsdInt8Scratch(const SsdArgs& args) {
  return Int8Layout(args, nullptr).scratch.bytes();
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace octet {
namespace {

HWY_EXPORT(SsdInt8);

void Run(const SsdArgs& args, const Workspace& workspace) {
  HWY_DYNAMIC_DISPATCH(SsdInt8)(args, workspace.scratch);
}

const char* WhyNot(const SsdArgs& args) {
  const char* reason = HwyUnavailable();
  return reason != nullptr ? reason : WhyNotInt8Chunks(args);
}

// The layout is the same on every target; the static one runs wherever one of them does.
int64_t ScratchBytes(const SsdArgs& args) {
  return HWY_STATIC_DISPATCH(SsdInt8Scratch)(args);
}

}  // namespace

extern const Kernel<SsdArgs> kSsdInt8Hwy = {"ssd_int8/hwy", Isa::kHwy,   100, Run,
                                            WhyNot,         ScratchBytes};

}  // namespace octet
#endif  // HWY_ONCE
