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
    acc = scratch.Take<int32_t>(std::max({L16 * L16, P16 * N16, L16 * P16}));
    carried = scratch.Take<float>(L16 * P16);
    carried_scale = scratch.Take<double>(P16);
    local_scale = scratch.Take<double>(P16);
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
  float* next_scale;      // [H, P16], of the states that enter the next chunk
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
  int64_t t0, end, g, h;  // the chunk's first token and one past its last, group, head
  float decay, a_last;
  Mode mode;
  bool in_place;  // rows of fp32 that need no padding are passed where they are
  bool plain;     // HasPlainCodes
  // Whether scales come from the values that enter. Such values left the chunk before, so that
  // their scales are those stored with the codes, or s.next_scale.
  bool own_scales;
};

// Writes s.local_scale; returns whether all of it FloatsDequantize.
bool ScaleLocal(const SsdArgs& args, int64_t len, int64_t g, const Int8Layout& s) {
  const Codec codec = args.scales->x_scaled_codec;
  const double of_units = static_cast<double>(UnitOf(codec, 1.0f)) * args.scales->B[g];
  const int64_t largest = len * MaxUnits(codec) * 127;
  bool few = true;
  for (int64_t p = 0; p < s.P16; ++p) {
    s.local_scale[p] = static_cast<double>(s.x_scale[p]) * of_units;
    few &= FloatsDequantize(s.local_scale[p], largest);
  }
  return few;
}

HeadPass PassOf(const SsdArgs& args, int64_t t0, int64_t len, int64_t g, int64_t h,
                const Int8Layout& s) {
  using Mode = HeadPass::Mode;
  const bool few = ScaleLocal(args, len, g, s);
  const bool in_codes = args.passing == StatePassing::kGateQ7;
  HeadPass pass = {};
  pass.t0 = t0;
  pass.end = t0 + len;
  pass.g = g;
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

LocalRow LocalOf(int64_t p, const Int8Layout& s) {
  return {s.acc + p * s.N16, s.local_scale[p]};
}

void StoreRows(const SsdArgs& args, const HeadPass& pass, int64_t first, int64_t count,
               float* const* rows) {
  for (int64_t r = 0; r < count; ++r) {
    StoreStateRowV(args.h, first + r, args.N, pass.end, rows[r]);
  }
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
    const LocalRow local = LocalOf(p + r, s);
    const float scale = args.h.scales[first + r];
    s.carried_scale[p + r] = static_cast<double>(scale) * args.scales->C[pass.g];
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

// `count` <= kPassRows rows from p on.
template <class T>
void PassRows(const SsdArgs& args, const HeadPass& pass, int64_t p, int64_t count,
              const Int8Layout& s) {
  const int64_t first = pass.h * args.P + p;
  if (!pass.in_place) std::fill(s.rows, s.rows + kPassRows * s.N16, 0.0f);
  float* rows[kPassRows];  // the last again, where there are fewer
  for (int64_t r = 0; r < kPassRows; ++r) {
    const int64_t i = std::min(r, count - 1);
    rows[r] = pass.in_place ? static_cast<float*>(args.h.data) + (first + i) * args.N
                            : s.rows + i * s.N16;
    if (!pass.in_place && i == r) LoadStateRowV(args.h, first + r, args.N, rows[r]);
  }
  const bool follows = pass.in_place && pass.own_scales;
  float* next = s.next_scale + pass.h * s.P16 + p;
  HWY_ALIGN float scales[kPassRows] = {1, 1, 1, 1}, inverses[kPassRows];
  if (args.scales->state != nullptr) {
    std::copy_n(args.scales->state + first, count, scales);
  } else if (follows && pass.t0 > 0) {
    std::copy_n(next, kPassRows, scales);
  } else {
    ScaleRows(rows, s.N16, scales);
  }
  const Four four;
  hn::Store(hn::Div(hn::Set(four, 1.0f), hn::Load(four, scales)), four, inverses);
  HWY_ALIGN float most[kPassRows * 16] = {};
  for (int64_t r = 0; r < count; ++r) {
    const LocalRow local = LocalOf(p + r, s);
    T* codes = reinterpret_cast<T*>(s.state) + (p + r) * s.N16;
    s.carried_scale[p + r] = static_cast<double>(scales[r]) * args.scales->C[pass.g];
    if (pass.mode == HeadPass::Mode::kFloatsOfFew) {
      PassFloats<true>(pass.decay, inverses[r], local, s.N16, rows[r], codes, most + r * 16);
    } else if (pass.mode == HeadPass::Mode::kFloats) {
      PassFloats<false>(pass.decay, inverses[r], local, s.N16, rows[r], codes, most + r * 16);
    } else {
      PassCodes(pass.a_last, scales[r], local, s.N16, rows[r], codes);
    }
  }
  if (follows) hn::StoreU(ScaleForAbsMaxV(MaxRows(most)), four, next);
  if (pass.in_place) return;
  if (pass.plain && count == kPassRows && StoreFittingRows(args.h, first, args.N, rows)) return;
  StoreRows(args, pass, first, count, rows);
}

// Stage 2: sums of S_loc in s.acc.
template <class X>
void Int8Local(const SsdArgs& args, int64_t len, int64_t h, const Int8Layout& s) {
  ScaleX(args, len, h, s);
  const HeadRange used = PackX<X>(args.scales->x_scaled_codec, len, s);
  Multiply<X>({s.x_words, 1, s.P16, s.x_sums}, args.P, used.begin, used.end, {s.B_words, s.N16},
              args.N, s.acc, s.N16);
}

// Stage 3: leaves the codes of what enters in s.state, and in s.carried_scale what turns their
// products with C into values.
template <class T>
void Int8Pass(const SsdArgs& args, int64_t t0, int64_t len, int64_t g, int64_t h,
              const Int8Layout& s) {
  std::fill(s.carried_scale + args.P, s.carried_scale + s.P16, 0.0);
  const HeadPass pass = PassOf(args, t0, len, g, h, s);
  for (int64_t p = 0; p < args.P; p += kPassRows) {
    const int64_t count = std::min(kPassRows, args.P - p);
    if (pass.plain && pass.own_scales && count == kPassRows &&
        EnterAsTheyAre(args.h, h * args.P + p, args.N)) {
      PassStoredRows<T>(args, pass, p, s);
    } else {
      PassRows<T>(args, pass, p, count, s);
    }
  }
}

// S_c C_m for all tokens of the chunk.
template <class T>
void Int8Carried(const SsdArgs& args, int64_t len, const Int8Layout& s) {
  constexpr int64_t kPer = kPerWord<T>;
  TransposeWords(s.state, s.N16 / kPer, s.P16, s.N16 / kPer, s.transposed, s.P16, kRightMask<T>);
  Multiply<T>({s.C, s.N16 / kPer, 1, s.c_sums}, len, 0, CeilDiv(args.N, kPer),
              {s.transposed, s.P16}, args.P, s.acc, s.P16);
  bool few = true;
  for (int64_t p = 0; p < s.P16; ++p) {
    few = few && FloatsDequantize(s.carried_scale[p], args.N * 127 * 127);
  }
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
  ForEachChunk(args, [&](int64_t t0, int64_t len, int64_t g, HeadRange heads) HWY_ATTR {
    Int8Score<T, X>(args, t0, len, g, s);
    QuantizeScore(args, len, g, s);
    Lap(args, SsdStage::kScore);
    for (int64_t h = heads.begin; h < heads.end; ++h) {
      LoadHead(args, t0, len, h, s.head);
      Lap(args, SsdStage::kCumsum);
      Int8Local<X>(args, len, h, s);
      Lap(args, SsdStage::kLocalState);
      Int8Pass<T>(args, t0, len, g, h, s);
      Lap(args, SsdStage::kPassing);
      Int8Carried<T>(args, len, s);
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
