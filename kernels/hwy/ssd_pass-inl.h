// Stage 3 of the SSD in codes (kernels/ssd.h), by rows of the state: codes of what enters a chunk,
// which stage 5 reads, and what leaves it.
//
// Included once per target, after kernels/hwy/math-inl.h.
#if defined(OCTET_KERNELS_HWY_SSD_PASS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OCTET_KERNELS_HWY_SSD_PASS_INL_H_
#undef OCTET_KERNELS_HWY_SSD_PASS_INL_H_
#else
#define OCTET_KERNELS_HWY_SSD_PASS_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/hwy/math-inl.h"
#include "kernels/hwy/ssd_state-inl.h"
#include "kernels/ssd.h"
#include "kernels/ssd_chunk.h"
#include "tensor/codecs/uniform.h"

HWY_BEFORE_NAMESPACE();
namespace octet {
namespace HWY_NAMESPACE {

using StateInts = hn::RebindToSigned<StateTag>;
inline constexpr int64_t kStateLanes = HWY_LANES(float);
inline constexpr int kStateVectors16 = 16 / static_cast<int>(kStateLanes);
inline constexpr int64_t kPassRows = kFittingRows;  // that share a wait for their scales

// Vector form of StateCode.
HWY_INLINE StateCodes StateCodeV(StateVector value, StateVector inverse) {
  const StateTag d;
  const auto code = hn::Round(hn::Mul(value, inverse));
  const auto limit = hn::Set(d, kMaxStateCode);
  return hn::ConvertTo(StateInts(), hn::Min(hn::Max(code, hn::Neg(limit)), limit));
}

// S_loc of a row: sums [N16] and what makes them values.
struct LocalRow {
  const int32_t* acc;
  double scale;
};

template <bool kFew>
HWY_INLINE StateVector LocalV(const LocalRow& local, int64_t n) {
  const StateTag d;
  const auto acc = hn::LoadU(StateInts(), local.acc + n);
  if constexpr (kFew) return DequantizeFewV(d, acc, hn::Set(d, static_cast<float>(local.scale)));
  return DequantizeV(d, acc, local.scale);
}

// Four vectors of values in units of their scale, limited to codes, as T.
template <class T>
HWY_INLINE void StoreUnits(const StateVector* units, T* codes) {
  if constexpr (sizeof(T) == 1) {
    StoreNearest(units[0], units[1], units[2], units[3], codes);
  } else {
    for (int v = 0; v < 4; ++v) {
      StoreCodes(StateTag(), NearestV(StateTag(), units[v]), codes + v * kStateLanes);
    }
  }
}

// Rows of the state [count, N16], the sums [count, N16] of their S_loc with what makes each row's
// values, the scales of what enters with their reciprocals, and what stage 3 makes of them: codes
// of what enters, and [count, 16] lanes of the largest magnitudes that leave.
template <class T>
struct PassedRows {
  int64_t count, N16;
  int64_t ahead;  // values of the state after which to fetch, or 0
  float* state;
  const int32_t* acc;
  const double* local_scale;
  const float* scale;
  const float* inverse;
  T* codes;
  float* most;

  LocalRow Local(int64_t r) const { return {acc + r * N16, local_scale[r]}; }
};

// Stage 3 of a row in floats. kFits: the scale holds the row's largest magnitude.
template <bool kFew, bool kFits, class T>
HWY_INLINE void PassFloats(StateVector kept, const PassedRows<T>& rows, int64_t r) {
  constexpr int kChains = std::max(2, kStateVectors16);
  const StateTag d;
  const int64_t N16 = rows.N16;
  const LocalRow local = rows.Local(r);
  float* row = rows.state + r * N16;
  T* codes = rows.codes + r * N16;
  float* most = rows.most + r * 16;
  const auto inverse = hn::Set(d, rows.inverse[r]);
  const auto limit = hn::Set(d, kMaxCodeI8);
  StateVector largest[kChains];
#pragma GCC unroll 4
  for (auto& l : largest) {
    l = hn::Zero(d);
  }
  const auto pass = [&](int64_t n, StateVector& most_of_these) HWY_ATTR {
    const auto value = hn::LoadU(d, row + n);
    const auto passed = hn::MulAdd(kept, value, LocalV<kFew>(local, n));
    hn::StoreU(passed, d, row + n);
    most_of_these = MaxMagnitude(passed, most_of_these);
    const auto units = hn::Max(hn::Mul(value, inverse), hn::Neg(limit));  // so for NaN
    return kFits ? units : hn::Min(units, limit);
  };
  int64_t n = 0;
  for (; n + 4 * kStateLanes <= N16; n += 4 * kStateLanes) {
#pragma GCC unroll 4
    for (int64_t i = 0; i < 4 * kStateLanes; i += 16) {
      __builtin_prefetch(row + rows.ahead + n + i, 1);
    }
    StateVector units[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      units[v] = pass(n + v * kStateLanes, largest[v % kChains]);
    }
    StoreUnits(units, codes + n);
  }
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    if (n + v * kStateLanes >= N16) break;
    StoreCodes(d, NearestV(d, pass(n + v * kStateLanes, largest[v % kChains])),
               codes + n + v * kStateLanes);
  }
#pragma GCC unroll 4
  for (int v = kStateVectors16; v < kChains; ++v) {
    largest[v % kStateVectors16] = hn::Max(largest[v % kStateVectors16], largest[v]);
  }
#pragma GCC unroll 4
  for (int v = 0; v < kStateVectors16; ++v) {
    hn::StoreU(largest[v], d, most + v * kStateLanes);
  }
}

template <bool kFew, bool kFits, class T>
void PassFloats(float decay, const PassedRows<T>& rows) {
  // Copied, since a store of bytes could change `rows`.
  const PassedRows<T> of = rows;
  const auto kept = hn::Set(StateTag(), decay);
  for (int64_t r = 0; r < of.count; ++r) {
    PassFloats<kFew, kFits>(kept, of, r);
  }
}

// The same with the integer gate.
template <class T>
void PassCodes(float a_last, const PassedRows<T>& rows) {
  const StateTag d;
  const StateInts di;
  const auto gate = hn::Set(di, GateQ7(a_last));
  for (int64_t r = 0; r < rows.count; ++r) {
    const LocalRow local = rows.Local(r);
    const auto scale = hn::Set(d, rows.scale[r]);
    const auto inverse = hn::Set(d, rows.inverse[r]);
    for (int64_t n = 0; n < rows.N16; n += kStateLanes) {
      float* at = rows.state + r * rows.N16 + n;
      const auto value = hn::LoadU(d, at);
      StoreCodes(d, QuantizeV(d, value, inverse), rows.codes + r * rows.N16 + n);
      const auto scaled = hn::Mul(StateCodeV(value, inverse), gate);
      const auto kept = hn::ShiftRight<7>(hn::Add(scaled, hn::Set(di, 64)));
      const auto passed = hn::Add(kept, QuantizeV(d, LocalV<false>(local, n), inverse));
      hn::StoreU(hn::Mul(hn::ConvertTo(d, passed), scale), d, at);
    }
  }
}

// ScaleForAbsMax of kPassRows rows [N16], N16 - N of them zero.
inline void ScaleRows(float* const* rows, int64_t N16, float* scales) {
  const StateTag d;
  HWY_ALIGN float lanes[kPassRows * 16];
  for (int64_t r = 0; r < kPassRows; ++r) {
    for (int64_t i = 0; i < 16; i += kStateLanes) {
      auto most = hn::Zero(d);
      for (int64_t n = i; n < N16; n += 16) {
        most = MaxMagnitude(hn::LoadU(d, rows[r] + n), most);
      }
      hn::StoreU(most, d, lanes + r * 16 + i);
    }
  }
  hn::StoreU(ScaleForAbsMaxV(MaxRows(lanes)), Four(), scales);
}

// Whether rows [first, first + kPassRows) of plain codes (HasPlainCodes) enter stage 5 as they are:
// quantized anew, a row whose largest code is 127 would give the same codes and the same scale.
inline bool EnterAsTheyAre(const StateView& h, int64_t first, int64_t N) {
  const Four four;
  const auto scale = hn::LoadU(four, h.scales + first);
  const auto largest = hn::Mul(scale, hn::Set(four, kMaxCodeI8));
  const auto same = hn::And(hn::Eq(ScaleForAbsMaxV(largest), scale), hn::IsFinite(largest));
  if (!hn::AllTrue(four, same)) return false;
  const hn::CappedTag<int8_t, 16> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const auto limit = hn::Set(du, 127);
  for (int64_t r = 0; r < kPassRows; ++r) {
    const int8_t* codes = static_cast<const int8_t*>(h.data) + (first + r) * N;
    auto most = hn::Zero(du);
    for (int64_t n = 0; n < N; n += 16) {
      most = hn::Max(most, hn::BitCast(du, hn::Abs(hn::LoadU(d, codes + n))));
    }
    // No store writes -128.
    if (hn::AllFalse(du, hn::Eq(most, limit)) || !hn::AllFalse(du, hn::Gt(most, limit))) {
      return false;
    }
  }
  return true;
}

// Stage 3 of a row of plain codes [N] that EnterAsTheyAre: copies them to `codes`, and leaves in
// `row` what is to be stored, in `lanes` [16] its MaxBits.
template <bool kFew, class T>
inline void PassStored(float decay, float scale, const LocalRow& local, int64_t N,
                       const int8_t* stored, T* codes, float* row, float* lanes) {
  const StateTag d;
  const auto kept = hn::Set(d, decay);
  const auto step = hn::Set(d, scale);
  hn::Vec<hn::RebindToUnsigned<StateTag>> most[kStateVectors16];
  for (auto& m : most) {
    m = hn::Zero(hn::RebindToUnsigned<StateTag>());
  }
  for (int64_t n = 0; n < N; n += 16) {
    for (int v = 0; v < kStateVectors16; ++v) {
      const int64_t at = n + v * kStateLanes;
      const auto code =
          hn::PromoteTo(StateInts(), hn::LoadU(hn::Rebind<int8_t, StateInts>(), stored + at));
      if constexpr (sizeof(T) > 1) StoreCodes(d, code, codes + at);
      const auto value = hn::Mul(hn::ConvertTo(d, code), step);
      const auto passed = hn::MulAdd(kept, value, LocalV<kFew>(local, at));
      hn::StoreU(passed, d, row + at);
      most[v] = MaxBits(passed, most[v]);
    }
  }
  if constexpr (sizeof(T) == 1) std::memcpy(codes, stored, static_cast<size_t>(N));
  for (int v = 0; v < kStateVectors16; ++v) {
    hn::StoreU(hn::BitCast(d, most[v]), d, lanes + v * kStateLanes);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace octet
HWY_AFTER_NAMESPACE();

#endif  // OCTET_KERNELS_HWY_SSD_PASS_INL_H_
