// Contracts:
//  1. bytes() is what a file stores: 4-bit rows end on a byte, scales are counted.
//  2. RowToF32 and ToF32 decode int8 with a scale per tensor or per row, and int4 with a multiplier
//     per group, exactly: odd rows, a last group of one column.
#include "tensor/weights.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

std::shared_ptr<const std::vector<float>> Scales(size_t n) {
  auto scales = std::make_shared<std::vector<float>>();
  for (size_t i = 0; i < n; ++i) {
    scales->push_back(RoundScale(0.01f + 0.003f * static_cast<float>(i)));
  }
  return scales;
}

std::vector<std::byte> RandomBytes(int64_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<std::byte> bytes(static_cast<size_t>(n));
  for (std::byte& b : bytes) {
    b = static_cast<std::byte>(rng.Below(256));
  }
  return bytes;
}

TEST(Weight, BytesAreThoseOfTheFile) {
  EXPECT_EQ(MakeWeight(std::vector<float>(12), {3, 4}).bytes(), 48);
  Weight w = MakeWeight(DType::kI8, RandomBytes(15, 1), {3, 5});
  EXPECT_EQ(w.data_bytes(), 15);
  w.row_scale = Scales(3);
  EXPECT_EQ(w.bytes(), 15 + 12);
  w = MakeWeight(DType::kI4, RandomBytes(3 * 17, 1), {3, 33});
  w.row_scale = Scales(3);
  w.group = 32;
  w.group_scale = std::make_shared<std::vector<uint8_t>>(6, uint8_t{1});
  EXPECT_EQ(w.data_bytes(), 3 * 17);  // not (3 * 33 + 1) / 2
  EXPECT_EQ(w.bytes(), 3 * 17 + 12 + 6);
}

TEST(Weight, DecodesInt8) {
  for (const size_t scales : {1, 4}) {
    Weight w = MakeWeight(DType::kI8, RandomBytes(4 * 7, 2), {4, 7});
    w.row_scale = Scales(scales);
    const std::vector<float> got = ToF32(w);
    for (size_t i = 0; i < got.size(); ++i) {
      const double scale = static_cast<double>((*w.row_scale)[scales == 1 ? 0 : i / 7]);
      EXPECT_EQ(static_cast<double>(got[i]), scale * static_cast<int8_t>(w.data[i])) << i;
    }
  }
}

TEST(Weight, DecodesInt4) {
  for (const int64_t columns : {1, 64, 97}) {
    const int64_t groups = (columns + 31) / 32, row_bytes = (columns + 1) / 2;
    Weight w = MakeWeight(DType::kI4, RandomBytes(3 * row_bytes, 3), {3, columns});
    w.row_scale = Scales(3);
    w.group = 32;
    auto multipliers = std::make_shared<std::vector<uint8_t>>();
    for (int64_t i = 0; i < 3 * groups; ++i) {
      multipliers->push_back(static_cast<uint8_t>(127 - 11 * i));
    }
    w.group_scale = multipliers;
    std::vector<float> row(static_cast<size_t>(columns));
    for (int64_t r = 0; r < 3; ++r) {
      RowToF32(w, r, row.data());
      for (int64_t c = 0; c < columns; ++c) {
        const int pair = static_cast<int>(w.data[r * row_bytes + c / 2]);
        const int code = c % 2 == 0 ? pair % 16 : pair / 16;
        const int multiplier = (*multipliers)[static_cast<size_t>(r * groups + c / 32)];
        EXPECT_EQ(
            static_cast<double>(row[static_cast<size_t>(c)]),
            (code - 8) * multiplier * static_cast<double>((*w.row_scale)[static_cast<size_t>(r)]))
            << columns << " " << r << " " << c;
      }
    }
  }
}

}  // namespace
}  // namespace octet
