// Contract: pieces of any size are aligned, do not overlap and stay what they were, across chunks.
#include "base/arena.h"

#include <cstring>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace octet {
namespace {

TEST(Arena, PiecesDoNotOverlap) {
  Arena arena;
  std::vector<std::pair<std::byte*, int64_t>> pieces;
  for (const int64_t bytes : {int64_t{1}, int64_t{64}, int64_t{65}, int64_t{9} << 20,
                              int64_t{8} << 20, int64_t{40} << 20, int64_t{3}}) {
    std::byte* p = arena.Take(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 64, 0u) << bytes;
    std::memset(p, static_cast<int>(pieces.size()), static_cast<size_t>(bytes));
    pieces.emplace_back(p, bytes);
  }
  for (size_t i = 0; i < pieces.size(); ++i) {
    for (int64_t b = 0; b < pieces[i].second; ++b) {
      ASSERT_EQ(pieces[i].first[b], static_cast<std::byte>(i)) << "piece " << i << " byte " << b;
    }
  }
}

}  // namespace
}  // namespace octet
