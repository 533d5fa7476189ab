// Contracts:
//  1. A new state holds zeros; its size is what the shapes and the format say.
//  2. Copies are independent, and equality sees every byte, the scales, the residuals, the format
//  and the position.
//  3. Views say where in the stream a call begins, and draw other random numbers in each layer.
#include "exec/state.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "graph/block_testing.h"
#include "graph/mamba_block_testing.h"

namespace octet {
namespace {

State MakeState(const std::string& format, int64_t layers = 2) {
  BlockSizes s;
  s.layers = layers;
  Graph g = MakeBlocks(s);
  SetState(format, &g);
  return State(g);
}

// Bytes of a state of 12 rows of 5.
const std::map<std::string, int64_t>& StateBytes() {
  static const auto* const kBytes = new std::map<std::string, int64_t>{
      {"f32", 60 * 4}, {"f16", 60 * 2},     {"f16+sr", 60 * 2},     {"i16", 60 * 2 + 12 * 4},
      {"i16+sr", 168}, {"i8", 60 + 12 * 4}, {"i8+sr", 108},         {"i8+ef", 108 + 12 * 3},
      {"i8s", 60},     {"i8s+sr", 60},      {"i8s+ef", 60 + 12 * 3}};
  return *kBytes;
}

TEST(State, BytesByFormat) {
  // 3 = taps - 1 rows of 12 + 2 * 2 * 5 = 32 channels; H P N = 4 * 3 * 5 = 60 elements, H P = 12.
  const int64_t conv = 3 * 32 * 4;
  for (const std::string& format : StateFormatNames()) {
    EXPECT_EQ(MakeState(format).bytes(), 2 * (conv + StateBytes().at(format))) << format;
  }
  EXPECT_EQ(MakeState("f32", 0).bytes(), 0);
}

TEST(State, BytesOfMamba) {
  // 3 = taps - 1 rows of 12 channels; I N = 12 * 5 = 60 elements, a row for each of 12 channels.
  const int64_t conv = 3 * 12 * 4;
  Graph g = MakeMambaBlocks({});
  for (const std::string& format : StateFormatNames()) {
    SetState(format, &g);
    EXPECT_EQ(State(g).bytes(), 2 * (conv + StateBytes().at(format))) << format;
  }
}

TEST(State, BeginsWithZeros) {
  for (const std::string& format : StateFormatNames()) {
    State s = MakeState(format);
    EXPECT_EQ(s.position(), 0);
    for (int layer = 0; layer < 2; ++layer) {
      const StateView h = s.ssm(layer);
      EXPECT_EQ(ToText(h.format), format);
      EXPECT_EQ(s.Values(layer), std::vector<float>(60)) << format;
      ASSERT_EQ(s.conv(layer).rows(), 3);
      std::vector<float> row(32, 1.0f);
      s.conv(layer).Load(2, row.data());
      EXPECT_EQ(row, std::vector<float>(32));
      EXPECT_EQ(h.scales != nullptr, h.format.dynamic_scales());
      EXPECT_EQ(h.fixed != nullptr, h.format.static_scales());
      EXPECT_EQ(h.residuals != nullptr, h.format.rounding == StateRounding::kFeedback);
    }
  }
}

TEST(State, CopiesAreIndependentAndEqualitySeesEverything) {
  for (const std::string& format : StateFormatNames()) {
    const State before = MakeState(format);
    const StateFormat f = *ParseStateFormat(format);
    const auto changed = [&](const auto& change) {
      State copy = before;
      EXPECT_TRUE(copy == before);
      change(&copy);
      EXPECT_FALSE(copy == before) << format;
      EXPECT_TRUE(before == MakeState(format)) << "the original changed with its copy";
    };
    for (const int layer : {0, 1}) {
      changed([=](State* s) {
        std::vector<float> row(32);
        row[31] = 1;
        s->conv(layer).Push(row.data(), 32, 1);
      });
    }
    changed([&](State* s) {
      static_cast<std::byte*>(s->ssm(1).data)[f.CodeBytes(60) - 1] = std::byte{1};
    });
    changed([](State* s) { s->Advance(3); });
    if (f.dynamic_scales()) changed([](State* s) { s->ssm(0).scales[11] = 2; });
    if (f.rounding == StateRounding::kFeedback) {
      changed([](State* s) { s->ssm(1).residuals[35] = 0; });
    }
    for (const std::string& other : StateFormatNames()) {
      EXPECT_EQ(MakeState(other) == before, other == format);
    }
  }
  EXPECT_FALSE(MakeState("i8+sr:1") == MakeState("i8+sr:2"));
  EXPECT_FALSE(MakeState("f32", 1) == MakeState("f32", 2));
  EXPECT_FALSE(State() == MakeState("f32"));
  // The format counts even where no block has bytes to differ in.
  EXPECT_FALSE(MakeState("f32", 0) == MakeState("i8", 0));
}

TEST(State, StaticScalesCountInEquality) {
  Graph g = MakeBlocks({});
  SetState("i8s", &g);
  const State before(g);
  auto other = std::make_shared<std::vector<StateScales>>(*g.state_scales);
  g.state_scales = other;
  EXPECT_TRUE(State(g) == before) << "equal scales in another place";
  (*other)[1].values[0] *= 2;
  EXPECT_FALSE(State(g) == before);
}

TEST(State, ViewsKnowPositionAndLayer) {
  State s = MakeState("i8+sr:5");
  s.Advance(10);
  EXPECT_EQ(s.ssm(0).position, 10);
  EXPECT_EQ(s.ssm(0, 3).position, 13);
  EXPECT_NE(s.ssm(0).noise_key, s.ssm(1).noise_key);
  EXPECT_NE(s.ssm(0).noise_key, MakeState("i8+sr:6").ssm(0).noise_key);
}

TEST(State, OneTapNeedsNoHistory) {
  BlockSizes s;
  s.taps = 1;
  EXPECT_EQ(State(MakeBlocks(s)).bytes(), 2 * 60 * 4);
}

}  // namespace
}  // namespace octet
