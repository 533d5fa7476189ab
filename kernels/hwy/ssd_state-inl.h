// Vector form of kernels/ssd_state.h, with the same bits.
//
// Included once per target, after kernels/hwy/math-inl.h.
#if defined(OCTET_KERNELS_HWY_SSD_STATE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OCTET_KERNELS_HWY_SSD_STATE_INL_H_
#undef OCTET_KERNELS_HWY_SSD_STATE_INL_H_
#else
#define OCTET_KERNELS_HWY_SSD_STATE_INL_H_
#endif

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/ssd.h"
#include "kernels/ssd_state.h"
#include "tensor/codecs/uniform.h"
#include "tensor/dtype.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

inline void LoadHalves(const uint16_t* halves, int64_t n, float* values) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> d16;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto* from = reinterpret_cast<const hwy::float16_t*>(halves + i);
    hn::StoreU(hn::PromoteTo(d, hn::LoadU(d16, from)), d, values + i);
  }
  for (; i < n; ++i) {
    values[i] = F16ToF32(halves[i]);
  }
}

inline void StoreHalves(const float* values, int64_t n, uint16_t* halves) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> d16;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    auto* to = reinterpret_cast<hwy::float16_t*>(halves + i);
    hn::StoreU(hn::DemoteTo(d16, hn::LoadU(d, values + i)), d16, to);
  }
  for (; i < n; ++i) {
    halves[i] = F32ToF16(values[i]);
  }
}

// values[i] = codes[i] * scale.
inline void DecodeCodes(const int8_t* codes, int64_t n, float scale, float* values) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(hn::Mul(LoadCodes(d, codes + i), hn::Set(d, scale)), d, values + i);
  }
  for (; i < n; ++i) {
    values[i] = static_cast<float>(codes[i]) * scale;
  }
}

// The larger of |v| and `most`, which is not negative; the latter where v is NaN.
HWY_INLINE hn::Vec<hn::ScalableTag<float>> MaxMagnitude(hn::Vec<hn::ScalableTag<float>> v,
                                                        hn::Vec<hn::ScalableTag<float>> most) {
#if HWY_TARGET == HWY_AVX3
  most.raw = _mm512_range_ps(v.raw, most.raw, 0xb);  // of magnitudes, the larger
  return most;
#else
  return hn::Max(hn::Abs(v), most);
#endif
}

// The largest |values[i]|, i < n.
inline float AbsMax(const float* values, int64_t n) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto most = hn::Zero(d);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    most = MaxMagnitude(hn::LoadU(d, values + i), most);
  }
  float absmax = hn::GetLane(hn::MaxOfLanes(d, most));
  for (; i < n; ++i) {
    absmax = std::fmax(absmax, std::fabs(values[i]));
  }
  return absmax;
}

using Four = hn::CappedTag<float, 4>;

// FoldLanes16 of `lanes` [4, 16], four rows at once, with `join` in the place of the sum.
template <class Join>
HWY_INLINE hn::Vec<Four> FoldRows(const float* lanes, Join join) {
  const Four d;
  hn::Vec<Four> row[4];
  for (int r = 0; r < 4; ++r) {
    const float* from = lanes + static_cast<ptrdiff_t>(r) * 16;
    row[r] = join(join(hn::LoadU(d, from), hn::LoadU(d, from + 8)),
                  join(hn::LoadU(d, from + 4), hn::LoadU(d, from + 12)));
  }
  // Lanes 0 and 2, and 1 and 3, of two rows.
  const auto low =
      join(hn::InterleaveLower(d, row[0], row[1]), hn::InterleaveUpper(d, row[0], row[1]));
  const auto high =
      join(hn::InterleaveLower(d, row[2], row[3]), hn::InterleaveUpper(d, row[2], row[3]));
  return join(hn::ConcatLowerLower(d, high, low), hn::ConcatUpperUpper(d, high, low));
}
HWY_INLINE hn::Vec<Four> SumRows(const float* lanes) {
  return FoldRows(lanes, [](auto a, auto b) HWY_ATTR { return hn::Add(a, b); });
}
HWY_INLINE hn::Vec<Four> MaxRows(const float* lanes) {
  return FoldRows(lanes, [](auto a, auto b) HWY_ATTR { return hn::Max(a, b); });
}

// ScaleForAbsMax of each lane, which is no NaN and not negative.
HWY_INLINE hn::Vec<Four> ScaleForAbsMaxV(hn::Vec<Four> absmax) {
  const Four d;
  const hn::RebindToUnsigned<Four> du;
  const auto least = hn::Set(d, 0x1.0p-40f);
  const auto exact = hn::Div(absmax, hn::Set(d, kMaxCodeI8));
  const auto up =
      hn::AndNot(hn::Set(du, 0xfffu), hn::Add(hn::BitCast(du, exact), hn::Set(du, 0xfffu)));
  const auto scale = hn::IfThenElse(hn::Gt(exact, least), hn::BitCast(d, up), least);
  return hn::IfThenElse(hn::Gt(absmax, hn::Zero(d)), scale, hn::Set(d, 1.0f));
}

// Whether rows of N values are plain codes with a scale each, made anew at every store, so that
// StoreFittingRow can write them.
inline bool HasPlainCodes(const StateView& h, int64_t N) {
  return h.format.codec == StateCodec::kI8 && h.format.rounding == StateRounding::kNearest &&
         h.residuals == nullptr && h.unrounded == nullptr && N % 16 == 0;
}

// Rounds four vectors of values within [-127, 127] to the nearest integers, halves to even, and
// stores these codes one vector after another.
HWY_INLINE void StoreNearest(hn::Vec<Lanes16::D> a, hn::Vec<Lanes16::D> b, hn::Vec<Lanes16::D> c,
                             hn::Vec<Lanes16::D> d, int8_t* codes) {
#if HWY_TARGET == HWY_AVX3
  const __m512i low = _mm512_packs_epi32(_mm512_cvtps_epi32(a.raw), _mm512_cvtps_epi32(b.raw));
  const __m512i high = _mm512_packs_epi32(_mm512_cvtps_epi32(c.raw), _mm512_cvtps_epi32(d.raw));
  // Packing leaves four codes of each vector in each 128 bits.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  _mm512_storeu_si512(codes, _mm512_permutexvar_epi32(order, _mm512_packs_epi16(low, high)));
#elif HWY_TARGET == HWY_AVX2
  const __m256i low = _mm256_packs_epi32(_mm256_cvtps_epi32(a.raw), _mm256_cvtps_epi32(b.raw));
  const __m256i high = _mm256_packs_epi32(_mm256_cvtps_epi32(c.raw), _mm256_cvtps_epi32(d.raw));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes),
                      _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order));
#else
  const Lanes16::D df;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  StoreCodes(df, NearestV(df, a), codes);
  StoreCodes(df, NearestV(df, b), codes + lanes);
  StoreCodes(df, NearestV(df, c), codes + 2 * lanes);
  StoreCodes(df, NearestV(df, d), codes + 3 * lanes);
#endif
}

// QuantizeI8 of values [N] that are finite and whose scale holds the largest: none saturates.
HWY_INLINE void StoreFittingRow(const float* values, int64_t N, float inverse_scale,
                                int8_t* codes) {
  using D = Lanes16::D;
  const D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto inverse = hn::Set(d, inverse_scale);
  int64_t n = 0;
  for (; n + 4 * lanes <= N; n += 4 * lanes) {
    const float* from = values + n;
    StoreNearest(hn::Mul(hn::LoadU(d, from), inverse), hn::Mul(hn::LoadU(d, from + lanes), inverse),
                 hn::Mul(hn::LoadU(d, from + 2 * lanes), inverse),
                 hn::Mul(hn::LoadU(d, from + 3 * lanes), inverse), codes + n);
  }
  for (; n < N; n += lanes) {
    StoreCodes(d, NearestV(d, hn::Mul(hn::LoadU(d, values + n), inverse)), codes + n);
  }
}

// Rows that StoreFittingRows takes.
inline constexpr int64_t kFittingRows = 4;

// Codes of kFittingRows rows of 16 values: unit(i) is vector i of the rows, one after the other, in
// units of their scales and within [-127, 127].
template <class Unit>
HWY_INLINE void StoreRowsOf16(const Unit& unit, int8_t* codes) {
  constexpr auto kLanes = static_cast<int64_t>(hn::MaxLanes(Lanes16::D()));
  for (int i = 0; i < kFittingRows * Lanes16::kVectors; i += 4) {
    StoreNearest(unit(i), unit(i + 1), unit(i + 2), unit(i + 3), codes + i * kLanes);
  }
}

// The larger of |v| and `most` as integers, where what is not finite is larger than all that is.
HWY_INLINE hn::Vec<hn::RebindToUnsigned<Lanes16::D>> MaxBits(
    hn::Vec<Lanes16::D> v, hn::Vec<hn::RebindToUnsigned<Lanes16::D>> most) {
  return hn::Max(most, hn::BitCast(hn::RebindToUnsigned<Lanes16::D>(), hn::Abs(v)));
}

// Rounds rows [row, row + kFittingRows) to plain codes (HasPlainCodes): the bits of StoreStateRowV.
// `lanes` [kFittingRows, 16]: MaxBits of the values whose column is the lane modulo 16. False, with
// nothing stored, where a value is not finite.
inline bool StoreFittingRows(const StateView& h, int64_t row, int64_t N, const float* const* values,
                             const float* lanes) {
  using D = Lanes16::D;
  const D d;
  const Four four;
  const hn::RebindToUnsigned<Four> four_u;
  const auto most = FoldRows(lanes, [=](auto a, auto b) HWY_ATTR {
    return hn::BitCast(four, hn::Max(hn::BitCast(four_u, a), hn::BitCast(four_u, b)));
  });
  if (!hn::AllTrue(four, hn::IsFinite(most))) return false;
  const auto scale = ScaleForAbsMaxV(most);
  hn::StoreU(scale, four, h.scales + row);
  HWY_ALIGN float inverse[kFittingRows];
  hn::Store(hn::Div(hn::Set(four, 1.0f), scale), four, inverse);
  int8_t* codes = static_cast<int8_t*>(h.data) + row * N;
  if (N == 16) {
    constexpr int kVectors = Lanes16::kVectors;
    const auto unit = [&](int i) HWY_ATTR {
      const float* at = values[i / kVectors] + i % kVectors * hn::MaxLanes(d);
      return hn::Mul(hn::LoadU(d, at), hn::Set(d, inverse[i / kVectors]));
    };
    StoreRowsOf16(unit, codes);
    return true;
  }
  for (int64_t r = 0; r < kFittingRows; ++r) {
    StoreFittingRow(values[r], N, inverse[r], codes + r * N);
  }
  return true;
}

// The same where no MaxBits are at hand.
inline bool StoreFittingRows(const StateView& h, int64_t row, int64_t N,
                             const float* const* values) {
  const Lanes16::D d;
  const hn::RebindToUnsigned<Lanes16::D> du;
  HWY_ALIGN float lanes[kFittingRows * 16];
  for (int64_t r = 0; r < kFittingRows; ++r) {
    for (int64_t i = 0; i < 16; i += hn::MaxLanes(d)) {
      auto most = hn::Zero(du);
      for (int64_t n = i; n < N; n += 16) {
        most = MaxBits(hn::LoadU(d, values[r] + n), most);
      }
      hn::StoreU(hn::BitCast(d, most), d, lanes + r * 16 + i);
    }
  }
  return StoreFittingRows(h, row, N, values, lanes);
}

using StateTag = hn::ScalableTag<float>;
using StateVector = hn::Vec<StateTag>;
using StateCodes = hn::Vec<hn::RebindToSigned<StateTag>>;

// NoiseAt for elements n, n + 1, ... of the row.
HWY_INLINE hn::Vec<hn::RebindToUnsigned<StateTag>> NoiseV(const RowNoise& noise, int64_t n) {
  const hn::RebindToUnsigned<StateTag> du;
  const auto index = hn::Iota(du, static_cast<uint32_t>(n));
  auto x = hn::Add(hn::Set(du, static_cast<uint32_t>(noise.bits)),
                   hn::Mul(index, hn::Set(du, 0x9e3779b9u)));
  x = hn::Mul(hn::Xor(x, hn::ShiftRight<16>(x)), hn::Set(du, 0x7feb352du));
  x = hn::Xor(x, hn::Set(du, static_cast<uint32_t>(noise.bits >> 32)));
  x = hn::Mul(hn::Xor(x, hn::ShiftRight<15>(x)), hn::Set(du, 0x846ca68bu));
  return hn::Xor(x, hn::ShiftRight<16>(x));
}

// RoundStochastic(t, UniformOf(noise)).
HWY_INLINE StateVector RoundStochasticV(StateVector t,
                                        hn::Vec<hn::RebindToUnsigned<StateTag>> noise) {
  const StateTag d;
  const hn::RebindToSigned<StateTag> di;
  const auto bits = hn::ConvertTo(d, hn::BitCast(di, hn::ShiftRight<8>(noise)));
  const auto uniform = hn::Mul(bits, hn::Set(d, 0x1.0p-24f));
  const auto below = hn::Floor(t);
  const auto up = hn::Lt(uniform, hn::Sub(t, below));
  return hn::Add(below, hn::IfThenElseZero(up, hn::Set(d, 1.0f)));
}

HWY_INLINE StateVector HalfStochasticV(StateVector value,
                                       hn::Vec<hn::RebindToUnsigned<StateTag>> noise) {
  const StateTag d;
  const hn::RebindToUnsigned<StateTag> du;
  const auto magnitude = hn::Abs(value);
  const auto steps = RoundStochasticV(hn::Mul(magnitude, hn::Set(d, 0x1.0p24f)), noise);
  const auto small = hn::Mul(steps, hn::Set(d, 0x1.0p-24f));
  const auto sum = hn::Add(hn::BitCast(du, magnitude), hn::ShiftRight<19>(noise));
  const auto normal = hn::BitCast(d, hn::AndNot(hn::Set(du, 0x1fffu), sum));
  const auto rounded = hn::IfThenElse(hn::Lt(magnitude, hn::Set(d, 0x1.0p-14f)), small, normal);
  return hn::IfThenElse(hn::IsFinite(value), hn::CopySign(rounded, value), value);
}

// `values` [N] as StateRounding::kStochastic rounds them to halves, in floats.
inline void RoundHalvesStochastic(const float* values, int64_t N, const RowNoise& noise,
                                  float* rounded) {
  const StateTag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t n = 0;
  for (; n + lanes <= N; n += lanes) {
    hn::StoreU(HalfStochasticV(hn::LoadU(d, values + n), NoiseV(noise, n)), d, rounded + n);
  }
  for (; n < N; ++n) {
    rounded[n] = HalfStochastic(values[n], NoiseAt(noise, n));
  }
}

// Codes at `codes`, int8 or int16, as floats.
template <class T>
HWY_INLINE StateVector LoadIntegers(const T* codes) {
  const StateTag d;
  const hn::RebindToSigned<StateTag> di;
  return hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(hn::Rebind<T, StateTag>(), codes)));
}

template <class T>
HWY_INLINE void StoreIntegers(StateCodes codes, T* out) {
  const hn::Rebind<T, StateTag> dt;
  hn::StoreU(hn::DemoteTo(dt, codes), dt, out);
}

HWY_INLINE StateVector ScaleV(const RowScale& scale, int64_t n) {
  const StateTag d;
  return scale.per_column ? hn::LoadU(d, scale.values + n) : hn::Set(d, scale.values[0]);
}

HWY_INLINE StateVector InverseV(const RowScale& scale, int64_t n) {
  return hn::Div(hn::Set(StateTag(), 1.0f), ScaleV(scale, n));
}

// ClampCode, with float limits that are integers.
HWY_INLINE StateCodes ClampV(StateVector code, float low, float high) {
  const StateTag d;
  const auto clamped = hn::Min(hn::Max(code, hn::Set(d, low)), hn::Set(d, high));
  return hn::ConvertTo(hn::RebindToSigned<StateTag>(), clamped);
}

// Vectors of the state, whole ones only; the callers leave the rest of a row to the scalars.
template <class T>
int64_t DecodeIntegers(const T* codes, int64_t N, const RowScale& scale, float* values) {
  const StateTag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t n = 0;
  for (; n + lanes <= N; n += lanes) {
    hn::StoreU(hn::Mul(LoadIntegers(codes + n), ScaleV(scale, n)), d, values + n);
  }
  return n;
}

// `noise`: null to round to nearest.
template <class T>
int64_t EncodeIntegers(const float* values, int64_t N, const RowScale& scale, float most,
                       const RowNoise* noise, T* codes) {
  const StateTag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto of_row = hn::Set(d, 1.0f / scale.values[0]);  // divisions are slow
  int64_t n = 0;
  for (; n + lanes <= N; n += lanes) {
    const auto inverse = scale.per_column ? InverseV(scale, n) : of_row;
    const auto t = hn::Mul(hn::LoadU(d, values + n), inverse);
    const auto code = noise == nullptr ? hn::Round(t) : RoundStochasticV(t, NoiseV(*noise, n));
    StoreIntegers(ClampV(code, -most, most), codes + n);
  }
  return n;
}

// Feedback codes of elements n, n + 1, ... and back.
HWY_INLINE StateVector DecodeFeedback(const int8_t* codes, StateCodes four, const RowScale& scale,
                                      int64_t n) {
  const StateTag d;
  const hn::RebindToSigned<StateTag> di;
  const auto code = hn::PromoteTo(di, hn::LoadU(hn::Rebind<int8_t, StateTag>(), codes + n));
  const auto c = hn::Add(hn::ShiftLeft<4>(code), hn::Sub(four, hn::Set(di, 8)));
  const auto exact = hn::Mul(hn::ConvertTo(d, c), hn::Set(d, 0.0625f));
  return hn::Mul(exact, ScaleV(scale, n));
}

// Stores the codes; returns residual + 8.
HWY_INLINE StateCodes EncodeFeedback(const float* values, const RowScale& scale, int64_t n,
                                     int8_t* codes) {
  const StateTag d;
  const hn::RebindToSigned<StateTag> di;
  const auto t = hn::Mul(hn::LoadU(d, values + n), InverseV(scale, n));
  const auto c = ClampV(hn::Round(hn::Mul(hn::Set(d, 16.0f), t)), kLowFeedback, kHighFeedback);
  const auto shifted = hn::Add(c, hn::Set(di, 8));
  StoreIntegers(hn::ShiftRight<4>(shifted), codes + n);
  return hn::And(shifted, hn::Set(di, 15));
}

// A row of codes and residuals; the two halves of a row share their residual bytes. `j` runs over
// those bytes.
inline void LoadFeedbackRow(const int8_t* codes, const uint8_t* residuals, int64_t N,
                            const RowScale& scale, float* values) {
  const StateTag d;
  const hn::RebindToSigned<StateTag> di;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t half = ResidualBytes(N);
  int64_t j = 0;
  for (; j + lanes <= N - half; j += lanes) {
    const auto bytes = hn::PromoteTo(di, hn::LoadU(hn::Rebind<uint8_t, StateTag>(), residuals + j));
    const auto low = hn::And(bytes, hn::Set(di, 15));
    hn::StoreU(DecodeFeedback(codes, low, scale, j), d, values + j);
    const auto high = hn::ShiftRight<4>(bytes);
    hn::StoreU(DecodeFeedback(codes, high, scale, half + j), d, values + half + j);
  }
  for (; j < half; ++j) {
    for (int64_t n = j; n < N; n += half) {
      const int32_t c = 16 * codes[n] + ResidualAt(residuals, N, n);
      values[n] = static_cast<float>(c) * 0.0625f * scale.At(n);
    }
  }
}

inline void StoreFeedbackRow(const float* values, int64_t N, const RowScale& scale, int8_t* codes,
                             uint8_t* residuals) {
  const StateTag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t half = ResidualBytes(N);
  int64_t j = 0;
  for (; j + lanes <= N - half; j += lanes) {
    const auto low = EncodeFeedback(values, scale, j, codes);
    const auto high = EncodeFeedback(values, scale, half + j, codes);
    const hn::Rebind<uint8_t, StateTag> d8;
    hn::StoreU(hn::DemoteTo(d8, hn::Or(low, hn::ShiftLeft<4>(high))), d8, residuals + j);
  }
  for (; j < half; ++j) {
    for (int64_t n = j; n < N; n += half) {
      const int32_t c = FeedbackCode(values[n] * (1.0f / scale.At(n)));
      codes[n] = static_cast<int8_t>((c + 8) >> 4);
      SetResidual(residuals, N, n, c - 16 * codes[n]);
    }
  }
}

template <class T>
void LoadIntegerRow(const T* codes, int64_t N, const RowScale& scale, float* values) {
  for (int64_t n = DecodeIntegers(codes, N, scale, values); n < N; ++n) {
    values[n] = static_cast<float>(codes[n]) * scale.At(n);
  }
}

template <class T>
void StoreIntegerRow(const float* values, int64_t N, const RowScale& scale, float most,
                     const RowNoise* noise, T* codes) {
  for (int64_t n = EncodeIntegers(values, N, scale, most, noise, codes); n < N; ++n) {
    const float t = values[n] * (1.0f / scale.At(n));
    const float code =
        noise == nullptr ? std::nearbyintf(t) : RoundStochastic(t, UniformOf(NoiseAt(*noise, n)));
    codes[n] = static_cast<T>(ClampCode(code, -most, most));
  }
}

// Whether rows of 16 values are codes of fixed scales that LoadFixedRows and StoreFixedRows take.
inline bool HasFixedCodes(const StateView& h, int64_t N) {
  return h.format.codec == StateCodec::kI8Static && h.format.rounding == StateRounding::kNearest &&
         h.residuals == nullptr && h.unrounded == nullptr && N == 16;
}

// Decodes rows [row, row + kFittingRows) (HasFixedCodes) to `values` [kFittingRows, 16].
inline void LoadFixedRows(const StateView& h, int64_t row, float* values) {
  for (int64_t r = 0; r < kFittingRows; ++r) {
    const int8_t* codes = static_cast<const int8_t*>(h.data) + (row + r) * 16;
    DecodeIntegers(codes, 16, ScaleOfRow(h, row + r), values + r * 16);
  }
}

// Rounds `values` [kFittingRows, 16] to those rows: the bits of StoreStateRowV.
inline void StoreFixedRows(const StateView& h, int64_t row, const float* values) {
  const StateTag d;
  const auto most = hn::Set(d, kMaxCodeI8);
  const auto unit = [&](int i) HWY_ATTR {
    const int64_t at = i * static_cast<int64_t>(hn::MaxLanes(d));
    const auto inverse = InverseV(ScaleOfRow(h, row + at / 16), at % 16);
    const auto t = hn::Mul(hn::LoadU(d, values + at), inverse);
    return hn::Min(hn::Max(t, hn::Neg(most)), most);  // in this order for NaN
  };
  StoreRowsOf16(unit, static_cast<int8_t*>(h.data) + row * 16);
}

inline void LoadStateRowV(const StateView& h, int64_t row, int64_t N, float* values) {
  switch (h.format.codec) {
    case StateCodec::kF32:
      std::memcpy(values, static_cast<const float*>(h.data) + row * N,
                  static_cast<size_t>(N) * sizeof(float));
      return;
    case StateCodec::kF16:
      LoadHalves(static_cast<const uint16_t*>(h.data) + row * N, N, values);
      return;
    case StateCodec::kI16:
      LoadIntegerRow(static_cast<const int16_t*>(h.data) + row * N, N, ScaleOfRow(h, row), values);
      return;
    case StateCodec::kI8:
    case StateCodec::kI8Static:
      break;
  }
  const int8_t* codes = static_cast<const int8_t*>(h.data) + row * N;
  if (h.residuals == nullptr) {
    LoadIntegerRow(codes, N, ScaleOfRow(h, row), values);
  } else {
    LoadFeedbackRow(codes, h.residuals + row * ResidualBytes(N), N, ScaleOfRow(h, row), values);
  }
}

// `values` [N] may be overwritten.
inline void StoreStateRowV(const StateView& h, int64_t row, int64_t N, int64_t token,
                           float* values) {
  const auto bytes = static_cast<size_t>(N) * sizeof(float);
  if (h.unrounded != nullptr) std::memcpy(h.unrounded + row * N, values, bytes);
  const bool stochastic = h.format.rounding == StateRounding::kStochastic;
  std::optional<RowNoise> noise;
  if (stochastic) noise.emplace(h.noise_key, h.position + token, row);
  const RowNoise* noise_if_any = noise ? &*noise : nullptr;
  if (h.format.dynamic_scales()) {
    h.scales[row] = ScaleForAbsMax(AbsMax(values, N), h.format.max_code());
  }
  switch (h.format.codec) {
    case StateCodec::kF32:
      std::memcpy(static_cast<float*>(h.data) + row * N, values, bytes);
      return;
    case StateCodec::kF16:
      if (stochastic) RoundHalvesStochastic(values, N, *noise, values);
      StoreHalves(values, N, static_cast<uint16_t*>(h.data) + row * N);
      return;
    case StateCodec::kI16:
      StoreIntegerRow(values, N, ScaleOfRow(h, row), h.format.max_code(), noise_if_any,
                      static_cast<int16_t*>(h.data) + row * N);
      return;
    case StateCodec::kI8:
    case StateCodec::kI8Static:
      break;
  }
  int8_t* codes = static_cast<int8_t*>(h.data) + row * N;
  if (h.residuals == nullptr) {
    StoreIntegerRow(values, N, ScaleOfRow(h, row), h.format.max_code(), noise_if_any, codes);
  } else {
    StoreFeedbackRow(values, N, ScaleOfRow(h, row), codes, h.residuals + row * ResidualBytes(N));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#endif  // OCTET_KERNELS_HWY_SSD_STATE_INL_H_
