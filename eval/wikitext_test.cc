// Contracts of eval/wikitext.h, of texts small enough to do by hand; tests/perplexity_truth_test.cc
// compares with the programs that it follows.
// 1. Rows keep their "\n", rows of white space are empty, and lines end in all ways of Python.
// 2. Only titles of the first level start a page; white space is no page.
// 3. Detokenized replaces in the order of lm-eval, also what that did not mean to.
// 4. CountWords counts the empty words at both ends.
#include "eval/wikitext.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace octet {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(JoinWikiRows, KeepsLineEndsAndEmptyRows) {
  EXPECT_EQ(JoinWikiRows(" \n = A = \n \n x \n y"), "\n\n = A = \n\n\n\n\n x \n\n\n y");
  EXPECT_EQ(JoinWikiRows("a\r\nb\rc\n"), "a\n\n\nb\n\n\nc\n");
  EXPECT_EQ(JoinWikiRows("\u3000\u00a0\n"), "") << "white space of Unicode";
  EXPECT_EQ(JoinWikiRows("\u200b"), "\u200b") << "which this is not";
  EXPECT_EQ(JoinWikiRows(""), "");
}

TEST(WikiPages, StartAtTitles) {
  EXPECT_THAT(WikiPages(" \n = A = \n x\n = = s = = \n = B = \n = C = \ny\n"),
              ElementsAre(" = A = \n x\n = = s = = ", " = B = ", " = C = \ny\n"));
  EXPECT_THAT(WikiPages("before\n= A =\nx"), ElementsAre("before", "= A =\nx"));
  EXPECT_THAT(WikiPages("= A\nB =\n = \n=\n"), ElementsAre("= A\nB =\n = \n=\n"));
  EXPECT_THAT(WikiPages(" = = = s = = = \n"), ElementsAre(" = = = s = = = \n"));
  EXPECT_THAT(WikiPages(" \n\t\n"), IsEmpty());
}

TEST(Detokenized, TakesSpacesAway) {
  EXPECT_EQ(Detokenized("a @-@ b 1 @,@ 2 @.@ 5 , c : d ; e . f ! g ? h"),
            "a-b 1,2.5, c: d; e. f! g? h");
  EXPECT_EQ(Detokenized("( a ( b ) c ) [ d ] { e } ( )"), "(a ( b) c ) [d] {e} ()");
  EXPECT_EQ(Detokenized("\" a \" b \" c \" \" d"), "\"a\" b \"c\" \" d");
  EXPECT_EQ(Detokenized("the boys ' hats , Ann 's , it ' s"), "the boys'hats, Ann's, it ' s");
  EXPECT_EQ(Detokenized(" = = x = = \n = = = y = = = \n = = = = z"), " == x ==\n=== y ===\n==== z");
  EXPECT_EQ(Detokenized("5 \u00b0 N "), "5\u00b0N ");
  EXPECT_EQ(Detokenized("x N y"), "x 1 y");
  EXPECT_EQ(Detokenized("a/' 5/b /' 55/"), "a/'[0-9]/b /' 55/");
  EXPECT_EQ(Detokenized("( a"), "( a");
  EXPECT_EQ(Detokenized(""), "");
}

TEST(CountWords, CountsOneMoreThanTheRunsOfSpace) {
  EXPECT_EQ(CountWords("a b\n c"), 3);
  EXPECT_EQ(CountWords(" a "), 3);
  EXPECT_EQ(CountWords(""), 1);
  EXPECT_EQ(CountWords("a\u3000\u00a0b\u001fc"), 3);
  EXPECT_EQ(CountWords("a\u200b_"), 1);
}

}  // namespace
}  // namespace octet
