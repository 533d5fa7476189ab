// Contracts:
//  1. A new state holds zeros; its size is what the shapes and the format say.
//  2. Copies are independent, and equality sees every byte, the scales, the format and the
//  position.
#include "exec/state.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "graph/block_testing.h"
#include "graph/mamba_block_testing.h"

namespace octet {
namespace {

State MakeState(DType dtype, int64_t layers = 2) {
  BlockSizes s;
  s.layers = layers;
  Graph g = MakeBlocks(s);
  g.state_dtype = dtype;
  return State(g);
}

TEST(State, BytesByFormat) {
  // 3 = taps - 1 rows of 12 + 2 * 2 * 5 = 32 channels; H P N = 4 * 3 * 5 = 60 elements, H P = 12.
  const int64_t conv = 3 * 32 * 4;
  EXPECT_EQ(MakeState(DType::kF32).bytes(), 2 * (conv + 60 * 4));
  EXPECT_EQ(MakeState(DType::kF16).bytes(), 2 * (conv + 60 * 2));
  EXPECT_EQ(MakeState(DType::kI8).bytes(), 2 * (conv + 60 + 12 * 4));
  EXPECT_EQ(MakeState(DType::kF32, 0).bytes(), 0);
}

TEST(State, BytesOfMamba) {
  // 3 = taps - 1 rows of 12 channels; I N = 12 * 5 = 60 elements, a scale for each of 12 channels.
  const int64_t conv = 3 * 12 * 4;
  Graph g = MakeMambaBlocks({});
  EXPECT_EQ(State(g).bytes(), 2 * (conv + 60 * 4));
  g.state_dtype = DType::kF16;
  EXPECT_EQ(State(g).bytes(), 2 * (conv + 60 * 2));
  g.state_dtype = DType::kI8;
  EXPECT_EQ(State(g).bytes(), 2 * (conv + 60 + 12 * 4));
}

TEST(State, BeginsWithZerosInItsFormat) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kI8}) {
    State s = MakeState(dtype);
    EXPECT_EQ(s.position(), 0);
    for (int layer = 0; layer < 2; ++layer) {
      const StateView h = s.ssm(layer);
      EXPECT_EQ(h.dtype, dtype);
      const auto* bytes = static_cast<const std::byte*>(h.data);
      EXPECT_TRUE(std::all_of(bytes, bytes + BytesOf(dtype, 60),
                              [](std::byte b) { return b == std::byte{0}; }));
      EXPECT_TRUE(std::all_of(s.conv(layer), s.conv(layer) + 96, [](float v) { return v == 0; }));
      EXPECT_EQ(h.scales != nullptr, dtype == DType::kI8);
    }
  }
}

TEST(State, CopiesAreIndependentAndEqualitySeesEverything) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kI8}) {
    const State before = MakeState(dtype);
    const auto changed = [&](const auto& change) {
      State copy = before;
      EXPECT_TRUE(copy == before);
      change(&copy);
      EXPECT_FALSE(copy == before);
      EXPECT_TRUE(before == MakeState(dtype)) << "the original changed with its copy";
    };
    changed([](State* s) { s->conv(1)[95] = 1; });
    changed([](State* s) { s->conv(0)[0] = 1; });
    changed([&](State* s) {
      static_cast<std::byte*>(s->ssm(1).data)[BytesOf(dtype, 60) - 1] = std::byte{1};
    });
    changed([](State* s) { s->Advance(3); });
    if (dtype == DType::kI8) changed([](State* s) { s->ssm(0).scales[11] = 2; });
  }
  EXPECT_FALSE(MakeState(DType::kF32) == MakeState(DType::kF16));
  EXPECT_FALSE(MakeState(DType::kF32, 1) == MakeState(DType::kF32, 2));
  EXPECT_FALSE(State() == MakeState(DType::kF32));
  // The format counts even where no block has bytes to differ in.
  EXPECT_FALSE(MakeState(DType::kF32, 0) == MakeState(DType::kI8, 0));
}

TEST(State, OneTapNeedsNoHistory) {
  BlockSizes s;
  s.taps = 1;
  EXPECT_EQ(State(MakeBlocks(s)).bytes(), 2 * 60 * 4);
}

}  // namespace
}  // namespace octet
