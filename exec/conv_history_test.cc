// Contracts:
//  1. A history holds the last K - 1 rows pushed, in their order, and zeros before the first,
//     however the rows are cut into calls; as codes it holds exactly the values of codes.
//  2. Codes are kept where the input is held to a static encoding: its own, or that of the values
//     that it is a window of, whose scales and zeros its channels then have. Everything else, and
//     everything when asked to, is kept in fp32.
//  3. Equality sees rows, codes and scales.
#include "exec/conv_history.h"

#include <algorithm>
#include <deque>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "graph/block_testing.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

// Blocks of 12 + 32 + 4 channels before the convolution, which takes the 32 from channel 12 on.
constexpr int64_t kWidth = 32, kOffset = 12, kWhole = 48;

const Node& ConvOf(const Graph& g) {
  return g.nodes[static_cast<size_t>(g.FindSite("layers.0.xBC"))];
}

Encoding StaticCodes(Codec codec, size_t count) {
  Encoding e{DType::kI8, ScaleSource::kStatic, {}, codec};
  for (size_t i = 0; i < count; ++i) {
    e.scales.push_back(RoundScale(0.01f + 0.003f * static_cast<float>(i)));
    if (HasZero(codec)) e.zeros.push_back(static_cast<uint8_t>(5 + 7 * i));
  }
  return e;
}

ConvHistory MakeHistory(const std::string& site, const Encoding& e,
                        HistoryStorage storage = HistoryStorage::kCodes) {
  Graph g = MakeBlocks({});
  g.encodings["layers.0." + site] = e;
  return {g, ConvOf(g), storage};
}

// Random rows of values that the encoding of the input, or of the whole, can hold.
std::vector<float> Rows(const Encoding& e, bool whole, int64_t T, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> rows;
  for (int64_t i = 0; i < T * kWidth; ++i) {
    const int64_t c = whole ? i % kWidth + kOffset : i % kWidth;
    const auto at = static_cast<size_t>(c * std::ssize(e.scales) / (whole ? kWhole : kWidth));
    const int zero = e.zeros.empty() ? 0 : e.zeros[at];
    const float x = e.scales[at] * rng.Uniform(-150.0f, 150.0f);
    rows.push_back(FakeQuantize(e.codec, x, e.scales[at], zero));
  }
  return rows;
}

std::vector<float> AllRows(const ConvHistory& h) {
  std::vector<float> all(static_cast<size_t>(h.rows() * kWidth));
  for (int64_t row = 0; row < h.rows(); ++row) {
    h.Load(row, all.data() + row * kWidth);
  }
  return all;
}

TEST(ConvHistory, HoldsTheLastRowsInEveryCode) {
  for (const Codec codec : kCodecs) {
    for (const bool whole : {false, true}) {
      const Encoding e = StaticCodes(codec, whole ? 4 : 2);
      ConvHistory h = MakeHistory(whole ? "zxbcdt" : "xBC_in", e);
      EXPECT_EQ(h.bytes(), 3 * kWidth * CodeBytes(codec)) << CodecName(codec);
      std::deque<float> expected(3 * kWidth, 0.0f);
      EXPECT_EQ(AllRows(h), std::vector<float>(3 * kWidth)) << CodecName(codec);
      for (const int64_t T : {1, 2, 1, 7, 3, 1}) {
        const std::vector<float> rows = Rows(e, whole, T, 11 + static_cast<uint64_t>(T));
        h.Push(rows.data(), kWidth, T);
        expected.insert(expected.end(), rows.begin(), rows.end());
        expected.erase(expected.begin(), expected.end() - 3 * kWidth);
        EXPECT_EQ(AllRows(h), std::vector<float>(expected.begin(), expected.end()))
            << CodecName(codec) << (whole ? " whole, " : " own, ") << T;
      }
    }
  }
}

TEST(ConvHistory, RowsMayLieApart) {
  const Encoding e = StaticCodes(Codec::kUniform, 1);
  ConvHistory h = MakeHistory("xBC_in", e);
  const std::vector<float> rows = Rows(e, false, 5, 8);
  std::vector<float> apart(5 * 40, 1e30f);
  for (int64_t t = 0; t < 5; ++t) {
    std::copy_n(rows.begin() + t * kWidth, kWidth, apart.begin() + t * 40);
  }
  h.Push(apart.data(), 40, 5);
  EXPECT_EQ(AllRows(h), std::vector<float>(rows.end() - 3 * kWidth, rows.end()));
}

TEST(ConvHistory, FloatsWhereValuesAreNotThoseOfStaticCodes) {
  const int64_t floats = 3 * kWidth * 4;
  const Graph plain = MakeBlocks({});
  EXPECT_EQ(ConvHistory(plain, ConvOf(plain), HistoryStorage::kCodes).bytes(), floats);
  const Encoding codes = StaticCodes(Codec::kUniform, 1);
  const Encoding per_token{DType::kI8, ScaleSource::kPerToken, {}};
  EXPECT_EQ(MakeHistory("xBC_in", per_token).bytes(), floats);
  EXPECT_EQ(MakeHistory("u_norm", codes).bytes(), floats) << "not what the convolution reads";
  EXPECT_EQ(MakeHistory("xBC", codes).bytes(), floats) << "its output";
  EXPECT_EQ(MakeHistory("xBC_in", codes, HistoryStorage::kFloats).bytes(), floats);
  // Codes made anew for each token hide those of the whole.
  Graph g = MakeBlocks({});
  g.encodings["layers.0.zxbcdt"] = codes;
  g.encodings["layers.0.xBC_in"] = per_token;
  EXPECT_EQ(ConvHistory(g, ConvOf(g), HistoryStorage::kCodes).bytes(), floats);
  // An own encoding hides that of the whole, and a fork is a window too.
  g.encodings["layers.0.xBC_in"] = StaticCodes(Codec::kSe9, 1);
  EXPECT_EQ(ConvHistory(g, ConvOf(g), HistoryStorage::kCodes).bytes(), floats / 2);
  ForkInput(&g, g.FindSite("layers.0.xBC"), 0, "conv_in");
  EXPECT_EQ(ConvHistory(g, ConvOf(g), HistoryStorage::kCodes).bytes(), floats / 2);
  g.encodings["layers.0.conv_in"] = codes;
  EXPECT_EQ(ConvHistory(g, ConvOf(g), HistoryStorage::kCodes).bytes(), floats / 4);
}

TEST(ConvHistory, FloatsKeepEveryValue) {
  ConvHistory h = MakeHistory("xBC_in", StaticCodes(Codec::kUniform, 1), HistoryStorage::kFloats);
  Rng rng(5);
  std::vector<float> rows;
  for (int64_t i = 0; i < 3 * kWidth; ++i) {
    rows.push_back(rng.Uniform(-1.0f, 1.0f));
  }
  h.Push(rows.data(), kWidth, 3);
  EXPECT_EQ(AllRows(h), rows);
}

TEST(ConvHistory, EqualitySeesRowsCodesAndScales) {
  const Encoding codes = StaticCodes(Codec::kUniform, 1);
  const ConvHistory h = MakeHistory("xBC_in", codes);
  EXPECT_TRUE(h == MakeHistory("xBC_in", codes)) << "equal scales in another place";
  Encoding other = codes;
  other.scales[0] *= 2;
  EXPECT_FALSE(h == MakeHistory("xBC_in", other));
  EXPECT_FALSE(h == MakeHistory("xBC_in", codes, HistoryStorage::kFloats));
  EXPECT_FALSE(h == ConvHistory());
  ConvHistory copy = h;
  const std::vector<float> row = Rows(codes, false, 1, 3);
  copy.Push(row.data(), kWidth, 1);
  EXPECT_FALSE(h == copy);
  EXPECT_EQ(AllRows(h), std::vector<float>(3 * kWidth)) << "the original changed with its copy";
}

TEST(ConvHistory, EqualitySeesTheOrderOfRowsAndNotTheirPlaces) {
  const Encoding codes = StaticCodes(Codec::kUniform, 1);
  const std::vector<float> rows = Rows(codes, false, 3, 9);
  ConvHistory at_once = MakeHistory("xBC_in", codes), in_turn = at_once, reversed = at_once;
  at_once.Push(rows.data(), kWidth, 3);
  in_turn.Push(rows.data(), kWidth, 1);  // its rows lie elsewhere from here on
  for (int64_t t = 0; t < 3; ++t) {
    in_turn.Push(rows.data() + t * kWidth, kWidth, 1);
    reversed.Push(rows.data() + (2 - t) * kWidth, kWidth, 1);
  }
  EXPECT_TRUE(at_once == in_turn);
  EXPECT_FALSE(at_once == reversed);
  for (int64_t row = 0; row < 3; ++row) {
    EXPECT_TRUE(std::ranges::equal(at_once.row(row), in_turn.row(row))) << row;
  }
}

TEST(ConvHistory, ShowsItsRowsWhereTheyAreFloats) {
  const Encoding codes = StaticCodes(Codec::kUniform, 1);
  EXPECT_EQ(MakeHistory("xBC_in", codes).Values(0), nullptr);
  ConvHistory h = MakeHistory("xBC_in", codes, HistoryStorage::kFloats);
  const std::vector<float> rows = Rows(codes, false, 2, 9);
  h.Push(rows.data(), kWidth, 2);
  EXPECT_THAT(std::vector(h.Values(0), h.Values(0) + kWidth), ::testing::Each(0.0f));
  EXPECT_TRUE(std::equal(rows.begin(), rows.begin() + kWidth, h.Values(1)));
  EXPECT_TRUE(std::equal(rows.begin() + kWidth, rows.end(), h.Values(2)));
}

}  // namespace
}  // namespace octet
