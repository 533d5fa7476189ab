// Contracts:
//  1. Parse and ToText are inverse, on every format and seed; anything else is refused by a
//  sentence
//     that lists the choices.
//  2. Sizes of codes.
//  3. StateScales finds the scales of a row: one entry, an entry per row, or by the map; scales
//  that
//     do not fit their state are refused, saying why.
#include "tensor/state_format.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace octet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(StateFormat, TextNamesEveryFormatOnce) {
  EXPECT_THAT(StateFormatNames(), ElementsAre("f32", "f16", "f16+sr", "i16", "i16+sr", "i8",
                                              "i8+sr", "i8+ef", "i8s", "i8s+sr", "i8s+ef"));
  for (const std::string& name : StateFormatNames()) {
    const Result<StateFormat> format = ParseStateFormat(name);
    ASSERT_TRUE(format.ok()) << format.status().message();
    EXPECT_EQ(ToText(*format), name);
    EXPECT_EQ(format->seed, 0u);
  }
}

TEST(StateFormat, SeedsFollowStochasticRounding) {
  for (const uint64_t seed : {uint64_t{1}, uint64_t{7}, std::numeric_limits<uint64_t>::max()}) {
    const StateFormat format{StateCodec::kI8, StateRounding::kStochastic, seed};
    const Result<StateFormat> back = ParseStateFormat(ToText(format));
    ASSERT_TRUE(back.ok()) << ToText(format);
    EXPECT_EQ(*back, format);
  }
  EXPECT_EQ(ParseStateFormat("i16+sr:42")->seed, 42u);
}

TEST(StateFormat, OtherTextsAreRefused) {
  for (const char* bad : {"",
                          "i4",
                          "bf16",
                          "F32",
                          " f32",
                          "f32 ",
                          "f32+sr",
                          "f32+ef",
                          "f16+ef",
                          "i16+ef",
                          "i8+",
                          "i8+sr+ef",
                          "i8ss",
                          "+ef",
                          "i8+sr:",
                          "i8+sr:0",
                          "i8+sr:07",
                          "i8+sr:-1",
                          "i8+sr:1x",
                          "i8+sr:1:2",
                          "i8:3",
                          "i8+ef:3",
                          "i8+sr:18446744073709551616"}) {
    const Result<StateFormat> format = ParseStateFormat(bad);
    ASSERT_FALSE(format.ok()) << bad;
    EXPECT_EQ(format.status().code(), Code::kInvalidArgument);
    EXPECT_THAT(format.status().message(), HasSubstr("f32, f16, f16+sr, i16"));
  }
}

TEST(StateFormat, Sizes) {
  const auto bytes = [](const char* name) { return ParseStateFormat(name)->CodeBytes(10); };
  EXPECT_EQ(bytes("f32"), 40);
  EXPECT_EQ(bytes("f16"), 20);
  EXPECT_EQ(bytes("i16"), 20);
  EXPECT_EQ(bytes("i8"), 10);
  EXPECT_EQ(bytes("i8s+ef"), 10);
  EXPECT_TRUE(ParseStateFormat("i16")->dynamic_scales());
  EXPECT_TRUE(ParseStateFormat("i8s")->static_scales());
  EXPECT_FALSE(ParseStateFormat("i8")->static_scales());
  EXPECT_FALSE(ParseStateFormat("f16")->dynamic_scales());
}

TEST(StateScales, RowsFindTheirScales) {
  const StateScales one{1, {0.5f}, {}};
  EXPECT_EQ(*one.Row(0), 0.5f);
  EXPECT_EQ(*one.Row(2), 0.5f);
  const StateScales rows{1, {0.5f, 1, 2}, {}};
  EXPECT_EQ(*rows.Row(2), 2);
  const StateScales clusters{2, {1, 2, 3, 4}, {1, 0, 1}};
  EXPECT_EQ(clusters.entries(), 2);
  EXPECT_EQ(clusters.Row(0)[0], 3);
  EXPECT_EQ(clusters.Row(1)[1], 2);
  EXPECT_EQ(clusters.Row(2)[1], 4);
  for (const StateScales& s : {one, rows, clusters}) {
    EXPECT_TRUE(CheckStateScales(s, 3, 2).ok());
  }
}

TEST(StateScales, MisfitsAreRefused) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<std::pair<StateScales, const char*>> cases = {
      {{1, {}, {}}, "fill"},
      {{2, {1, 2, 3}, {}}, "fill"},
      {{3, {1, 2, 3}, {}}, "3 columns"},
      {{0, {1}, {}}, "0 columns"},
      {{-1, {1}, {}}, "columns"},
      {{1, {1, 2}, {}}, "2 rows"},
      {{1, {1, 2, 4, 8}, {}}, "4 rows"},
      {{1, {1, 2}, {0, 1}}, "map of 2"},
      {{1, {1, 2}, {0, 1, 2}}, "do not exist"},
      {{1, {0}, {}}, "12 significant"},
      {{1, {-1}, {}}, "12 significant"},
      {{1, {inf}, {}}, "12 significant"},
      {{1, {std::numeric_limits<float>::quiet_NaN()}, {}}, "12 significant"},
      {{1, {0.1f}, {}}, "12 significant"},
  };
  for (const auto& [scales, why] : cases) {
    const Status s = CheckStateScales(scales, 3, 2);
    ASSERT_FALSE(s.ok()) << why;
    EXPECT_THAT(s.message(), HasSubstr(why));
  }
}

}  // namespace
}  // namespace octet
