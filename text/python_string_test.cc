// Contracts: length, strip and capitalize are Python's, on all that its documentation and Unicode's
// SpecialCasing.txt treat apart. Expected values are what Python 3.11 printed.
#include "text/python_string.h"

#include <gtest/gtest.h>

namespace octet {
namespace {

TEST(PythonStringTest, LengthIsInCodePoints) {
  EXPECT_EQ(CodePoints(""), 0);
  EXPECT_EQ(CodePoints("abc"), 3);
  EXPECT_EQ(CodePoints("na\u00EFve"), 5);
  EXPECT_EQ(CodePoints("nai\u0308ve"), 6);
  EXPECT_EQ(CodePoints("\U0001F469\u200D\U0001F467"), 3);
}

TEST(PythonStringTest, StripTakesUnicodesSpacesAndSeparators) {
  EXPECT_EQ(Strip("\t a b\u00A0\u3000\n"), "a b");
  EXPECT_EQ(Strip("\x1C\x1F\u0085\u2028x\u1680\u205F"), "x");
  EXPECT_EQ(Strip("\u200Bx\uFEFF"), "\u200Bx\uFEFF");  // no spaces by their category
  EXPECT_EQ(Strip(" \u2003 "), "");
  EXPECT_EQ(Strip(""), "");
  EXPECT_EQ(StripRight("  a \u202F"), "  a");
  EXPECT_EQ(StripRight(" "), "");
  EXPECT_EQ(StripLeft("\u202F a  "), "a  ");
  EXPECT_EQ(StripLeft("\t"), "");
}

TEST(PythonStringTest, CapitalizeLowersTheRest) {
  EXPECT_EQ(Capitalize(""), "");
  EXPECT_EQ(Capitalize("he saw NASA"), "He saw nasa");
  EXPECT_EQ(Capitalize("[substeps] Do"), "[substeps] do");
  EXPECT_EQ(Capitalize("\u00E9COLE \u00C9T\u00C9"), "\u00C9cole \u00E9t\u00E9");
}

TEST(PythonStringTest, CapitalizeMapsToTitleCaseAndToSeveralCodePoints) {
  EXPECT_EQ(Capitalize("\u00DFA"), "Ssa");
  EXPECT_EQ(Capitalize("\uFB03X"), "Ffix");
  EXPECT_EQ(Capitalize("\u01C6\u01C4"), "\u01C5\u01C6");  // titlecase letter, not capital
  EXPECT_EQ(Capitalize("\u1FF7"), "\u03A9\u0342\u0345");
  EXPECT_EQ(Capitalize("A\u0130"), "Ai\u0307");
  EXPECT_EQ(Capitalize("\u10D0\u1C90"), "\u10D0\u10D0");  // Georgian has no title case
}

TEST(PythonStringTest, SigmaIsFinalAfterACasedLetterAndBeforeNone) {
  EXPECT_EQ(Capitalize("\u039F\u0394\u039F\u03A3"), "\u039F\u03B4\u03BF\u03C2");
  EXPECT_EQ(Capitalize("\u039F\u03A3 \u03A3"), "\u039F\u03C2 \u03C3");
  EXPECT_EQ(Capitalize("A\u03A3B"), "A\u03C3b");
  EXPECT_EQ(Capitalize("A.\u03A3'"), "A.\u03C2'");  // a full stop and an apostrophe are ignored
  EXPECT_EQ(Capitalize("A'\u03A3'B"), "A'\u03C3'b");
  EXPECT_EQ(Capitalize("1\u2160\u03A3"), "1\u2170\u03C2");  // a Roman numeral is cased
  EXPECT_EQ(Capitalize("1\u0301\u03A3"), "1\u0301\u03C3");
}

TEST(PythonStringTest, ReplaceGoesFromLeftToRightOnce) {
  EXPECT_EQ(ReplaceAll("a    b", "  ", " "), "a  b");
  EXPECT_EQ(ReplaceAll("aaa", "aa", "b"), "ba");
  EXPECT_EQ(ReplaceAll(" [title]x", " [title]", ". "), ". x");
  EXPECT_EQ(ReplaceAll("", "a", "b"), "");
}

}  // namespace
}  // namespace octet
