// Contracts:
//  1. EncodeRowsInt8: a scale of 12 bits for each row, whose last code is the row's largest value;
//     every value is decoded within half a step; a row of zeros stays zero; F32, F16 and BF16.
//  2. EncodeRowsInt4: each row's codes, multipliers and scale are those that the callback gave it,
//     packed low nibble first; an odd row ends in the zero code.
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

TEST(WeightCodes, Int4RowsHoldWhatTheEncoderChose) {
  for (const int64_t columns : {64, 97}) {  // 97: odd, four groups, the last of one column
    const Weight w = Table(DType::kBF16, 131, columns);
    const std::vector<float> values = ToF32(w);
    // The code of a column and the multiplier of a group, from the row's own values.
    const auto code = [](float v) { return static_cast<uint8_t>(v > 0 ? 9 + v * 4 : 7 + v * 4); };
    const auto encode = [&](std::span<const float> row, std::span<uint8_t> multipliers,
                            std::span<uint8_t> codes) {
      EXPECT_EQ(codes.size(), row.size());
      EXPECT_EQ(multipliers.size(), (row.size() + 31) / 32);
      for (size_t g = 0; g < multipliers.size(); ++g) {
        multipliers[g] = static_cast<uint8_t>(1 + g * 3);
      }
      std::ranges::transform(row, codes.begin(), code);
      return RoundScale(std::fabs(row[0]) + 0.5f);
    };
    ThreadPool pool(3);
    const Weight q = EncodeRowsInt4(w, 32, encode, &pool);
    ASSERT_EQ(q.dtype, DType::kI4);
    ASSERT_EQ(q.group, 32);
    const std::vector<float> got = ToF32(q);
    for (int64_t r = 0; r < 131; ++r) {
      const float* row = values.data() + r * columns;
      for (int64_t c = 0; c < columns; ++c) {
        const float want =
            static_cast<float>((code(row[c]) - 8) * static_cast<int>(1 + c / 32 * 3)) *
            RoundScale(std::fabs(row[0]) + 0.5f);
        ASSERT_EQ(got[static_cast<size_t>(r * columns + c)], want) << r << " " << c;
      }
      if (columns % 2 == 1) {
        const auto last = static_cast<uint8_t>(q.data[(r + 1) * ((columns + 1) / 2) - 1]);
        EXPECT_EQ(last >> 4, 8) << r;
      }
    }
  }
}

}  // namespace
}  // namespace octet
