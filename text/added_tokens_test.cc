// Contracts of text/added_tokens.h:
//  - Next gives the leftmost, then longest match, as trying every token at every place does;
//  - of equal strings the first counts.
#include "text/added_tokens.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "text/unicode_testing.h"

namespace octet {
namespace {

using Tokens = std::vector<std::pair<std::string, int32_t>>;

std::string Show(const std::optional<AddedTokenFinder::Match>& m) {
  if (!m) return "none";
  return std::to_string(m->begin) + ".." + std::to_string(m->end) + " is " +
         std::to_string(m->piece);
}

TEST(AddedTokens, TakesTheLeftmostThenTheLongest) {
  const AddedTokenFinder finder(Tokens{{"ab", 1}, {"abc", 2}, {"bcde", 3}, {"\xC3\xA9", 4}});
  EXPECT_EQ(Show(finder.Next("xabcde", 0)), "1..4 is 2");
  EXPECT_EQ(Show(finder.Next("xabcde", 2)), "2..6 is 3");
  EXPECT_EQ(Show(finder.Next("abd", 0)), "0..2 is 1");
  EXPECT_EQ(Show(finder.Next("a\xC3\xA9", 0)), "1..3 is 4");
  EXPECT_EQ(Show(finder.Next("bcd", 0)), "none");
  EXPECT_EQ(Show(finder.Next("", 0)), "none");
  EXPECT_EQ(Show(AddedTokenFinder().Next("ab", 0)), "none");
}

TEST(AddedTokens, TheFirstOfEqualStringsCounts) {
  const AddedTokenFinder finder(Tokens{{"b", 7}, {"a", 1}, {"a", 2}});
  EXPECT_EQ(Show(finder.Next("a", 0)), "0..1 is 1");
}

RC_GTEST_PROP(AddedTokens, AgreesWithTryingEveryToken, ()) {
  const auto gen_string =
      rc::gen::container<std::string>(rc::gen::element('a', 'b', 'c', '\xC3', '\xFF'));
  Tokens tokens;
  for (const auto& t :
       *rc::gen::container<std::vector<std::string>>(rc::gen::nonEmpty(gen_string))) {
    tokens.emplace_back(t, static_cast<int32_t>(tokens.size()));
  }
  const std::string text = *gen_string;
  const AddedTokenFinder finder(tokens);
  for (size_t from = 0; from <= text.size(); ++from) {
    std::optional<AddedTokenFinder::Match> expected;
    for (size_t pos = from; pos < text.size() && !expected; ++pos) {
      for (const auto& [token, piece] : tokens) {
        if (text.compare(pos, token.size(), token) != 0) continue;
        if (!expected || pos + token.size() > expected->end) {
          expected = {pos, pos + token.size(), piece};
        }
      }
    }
    RC_ASSERT(Show(finder.Next(text, from)) == Show(expected));
  }
}

}  // namespace
}  // namespace octet
