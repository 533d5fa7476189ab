// Contracts of text/bpe.h:
//  - Apply gives what the definition gives: merge the best-ranked, leftmost pair until none is
//  left;
//  - of two merges of one pair the later counts, with its rank;
//  - a word of a million symbols takes n log n time.
#include "text/bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>

#include "text/unicode_testing.h"

namespace octet {
namespace {

using ::testing::ElementsAre;
using Merges = std::vector<BpeMerges::Merge>;

std::vector<int32_t> Apply(const Merges& merges, int32_t pieces, std::vector<int32_t> word) {
  BpeMerges::Scratch scratch;
  BpeMerges(merges, pieces).Apply(&word, &scratch);
  return word;
}

// The definition, in quadratic time.
std::vector<int32_t> ApplyByDefinition(const Merges& merges, std::vector<int32_t> word) {
  while (true) {
    size_t best_rank = merges.size(), best_left = 0;
    for (size_t i = 0; i + 1 < word.size(); ++i) {
      for (size_t rank = merges.size(); rank-- > 0;) {
        if (merges[rank].left != word[i] || merges[rank].right != word[i + 1]) continue;
        if (rank < best_rank) {
          best_rank = rank;
          best_left = i;
        }
        break;  // an earlier merge of the same pair does not count
      }
    }
    if (best_rank == merges.size()) return word;
    word[best_left] = merges[best_rank].result;
    word.erase(word.begin() + static_cast<ptrdiff_t>(best_left) + 1);
  }
}

TEST(Bpe, MergesBestRankThenLeftmost) {
  const Merges merges = {{1, 2, 3}, {0, 1, 4}, {0, 0, 5}};
  EXPECT_THAT(Apply(merges, 6, {0, 1, 2}), ElementsAre(0, 3));
  EXPECT_THAT(Apply(merges, 6, {0, 1, 0}), ElementsAre(4, 0));
  EXPECT_THAT(Apply(merges, 6, {0, 0, 0}), ElementsAre(5, 0));
  EXPECT_THAT(Apply(merges, 6, {2}), ElementsAre(2));
  EXPECT_THAT(Apply(merges, 6, {}), ElementsAre());
}

TEST(Bpe, TheLaterOfTwoEqualMergesCounts) {
  EXPECT_THAT(Apply({{0, 1, 3}, {1, 2, 4}}, 5, {0, 1, 2}), ElementsAre(3, 2));
  EXPECT_THAT(Apply({{0, 1, 3}, {1, 2, 4}, {0, 1, 3}}, 5, {0, 1, 2}), ElementsAre(0, 4));
}

// Merges of random pairs, each with its own result, as in a vocabulary of strings.
RC_GTEST_PROP(Bpe, AgreesWithTheDefinition, ()) {
  constexpr int32_t kAlphabet = 3;
  const int32_t count = *rc::gen::inRange(0, 20);
  Merges merges;
  for (int32_t i = 0; i < count; ++i) {
    const auto piece = rc::gen::inRange(0, kAlphabet + i);
    merges.push_back({*piece, *piece, kAlphabet + i});
  }
  const auto word = *rc::gen::container<std::vector<int32_t>>(rc::gen::inRange(0, kAlphabet));
  RC_ASSERT(Apply(merges, kAlphabet + count, word) == ApplyByDefinition(merges, word));
}

TEST(Bpe, IsNotQuadraticInALongWord) {
  // Doubling merges turn 2^20 symbols into one through 2^20 - 1 merges.
  Merges merges;
  for (int32_t i = 0; i < 20; ++i)
    merges.push_back({i, i, i + 1});
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(Apply(merges, 21, std::vector<int32_t>(1 << 20, 0)), ElementsAre(20));
  // 0.3 s as measured; a scan per merge would take 2^39 steps.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

}  // namespace
}  // namespace octet
