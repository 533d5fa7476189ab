// Contracts:
//  1. EncodeRowsInt8: a scale of 12 bits for each row, whose last code is the row's largest value;
//     every value is decoded within half a step; a row of zeros stays zero; F32, F16 and BF16.
//  2. EncodeInt8: one scale for the rows before each end.
//  3. ForEachRow gives each row once; the number of threads changes nothing.
#include "quant/weight_codes.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

// Rows of very different sizes, the fourth all zeros.
Weight Table(DType dtype, int64_t rows, int64_t columns) {
  Rng rng(7);
  std::vector<float> values(static_cast<size_t>(rows * columns));
  std::vector<std::byte> halves(values.size() * 2);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto r = static_cast<int>(i / static_cast<size_t>(columns));
    values[i] = r == 3 ? 0.0f : std::ldexp(rng.Uniform(-1, 1), -r % 9);
    const uint16_t half = dtype == DType::kF16 ? F32ToF16(values[i]) : F32ToBF16(values[i]);
    std::memcpy(halves.data() + 2 * i, &half, 2);
  }
  return dtype == DType::kF32 ? MakeWeight(std::move(values), {rows, columns})
                              : MakeWeight(dtype, std::move(halves), {rows, columns});
}

TEST(WeightCodes, ForEachRowVisitsEachOnce) {
  const Weight w = Table(DType::kBF16, 131, 5);
  const std::vector<float> want = ToF32(w);
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    std::vector<float> seen(want.size());
    std::vector<std::atomic<int>> visits(131);
    ForEachRow(w, &pool, [&](int64_t r, std::span<const float> row) {
      ++visits[static_cast<size_t>(r)];
      std::copy(row.begin(), row.end(), seen.begin() + r * 5);
    });
    EXPECT_EQ(seen, want);
    for (const auto& n : visits) {
      EXPECT_EQ(n, 1);
    }
  }
}

TEST(WeightCodes, Int8RowsAreWithinHalfAStep) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const Weight w = Table(dtype, 131, 37);
    ThreadPool one(1), three(3);
    const Weight q = EncodeRowsInt8(w, &one);
    ASSERT_EQ(q.dtype, DType::kI8);
    ASSERT_EQ(q.shape, w.shape);
    ASSERT_EQ(q.row_scale->size(), 131u);
    const std::vector<float> want = ToF32(w), got = ToF32(q);
    for (size_t r = 0; r < 131; ++r) {
      const float scale = (*q.row_scale)[r];
      EXPECT_EQ(RoundScale(scale), scale);
      float peak = 0;
      for (size_t i = r * 37; i < (r + 1) * 37; ++i) {
        peak = std::max(peak, std::fabs(want[i]));
        // Half a step, and the roundings of the reciprocal and of its product.
        EXPECT_LE(std::fabs(got[i] - want[i]), scale * (0.5f + 127 * 0x1.0p-23f)) << r;
      }
      EXPECT_EQ(scale, ScaleForAbsMax(peak)) << r;
    }
    const Weight again = EncodeRowsInt8(w, &three);
    EXPECT_EQ(std::memcmp(again.data, q.data, static_cast<size_t>(q.count())), 0);
    EXPECT_EQ(*again.row_scale, *q.row_scale);
  }
}

TEST(WeightCodes, RowsBeforeAnEndShareAScale) {
  const Weight w = Table(DType::kBF16, 131, 5);
  const std::vector<float> values = ToF32(w);
  ThreadPool pool(3);
  const Weight parts = EncodeInt8(w, std::vector<int64_t>{40, 41, 131}, &pool);
  const Weight whole = EncodeInt8(w, std::vector<int64_t>{131}, &pool);
  const auto peak = [&](size_t begin, size_t end) {
    float most = 0;
    for (size_t i = begin * 5; i < end * 5; ++i) {
      most = std::max(most, std::fabs(values[i]));
    }
    return ScaleForAbsMax(most);
  };
  ASSERT_EQ(parts.row_scale->size(), 131u);
  for (size_t r = 0; r < 131; ++r) {
    EXPECT_EQ((*parts.row_scale)[r], r < 40 ? peak(0, 40) : r < 41 ? peak(40, 41) : peak(41, 131));
  }
  EXPECT_EQ(*whole.row_scale, std::vector<float>{peak(0, 131)});
}

}  // namespace
}  // namespace octet
