// Contracts of text/splitter.h:
//  - words are those of GPT-2's pattern, by hand-picked cases and by PCRE2 on random text;
//  - the classes of characters are those of Unicode 16, also with an older utf8proc.
#include "text/splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "text/unicode_testing.h"

#ifdef OCTET_PCRE2
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#endif

namespace octet {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Words(const std::string& text) {
  std::vector<std::string> words;
  for (size_t pos = 0; pos < text.size();) {
    const size_t end = WordEnd(text, pos);
    EXPECT_GT(end, pos);
    EXPECT_LE(end, text.size());
    words.push_back(text.substr(pos, end - pos));
    pos = end;
  }
  return words;
}

TEST(Splitter, CutsWordsNumbersAndPunctuation) {
  EXPECT_THAT(Words("Hello my friend, how's 12ab34!?"),
              ElementsAre("Hello", " my", " friend", ",", " how", "'s", " 12", "ab", "34", "!?"));
  EXPECT_THAT(Words(" 's ''ll!'re"), ElementsAre(" '", "s", " ''", "ll", "!'", "re"));
  EXPECT_THAT(Words("I'll I'LL we've'd'm't'x"),
              ElementsAre("I", "'ll", " I", "'", "LL", " we", "'ve", "'d", "'m", "'t", "'", "x"));
  EXPECT_THAT(Words("'"), ElementsAre("'"));
  EXPECT_THAT(Words("'r"), ElementsAre("'", "r"));
}

TEST(Splitter, LeavesTheLastSpaceToTheNextWord) {
  EXPECT_THAT(Words("a   b"), ElementsAre("a", "  ", " b"));
  EXPECT_THAT(Words("a  "), ElementsAre("a", "  "));
  EXPECT_THAT(Words("a\n\nb"), ElementsAre("a", "\n", "\n", "b"));
  EXPECT_THAT(Words("a\n b"), ElementsAre("a", "\n", " b"));
  EXPECT_THAT(Words("a \nb"), ElementsAre("a", " ", "\n", "b"));
  EXPECT_THAT(Words(" "), ElementsAre(" "));
  EXPECT_THAT(Words(Utf8({'a', 0x2028, 0x85, 'b', 0xA0, 'c'})),
              ElementsAre("a", Utf8({0x2028}), Utf8({0x85}), "b", Utf8({0xA0}), "c"));
  EXPECT_THAT(Words(Utf8({'a', 0x200B, 0x180E})), ElementsAre("a", Utf8({0x200B, 0x180E})));
}

TEST(Splitter, KnowsNumbersOfEveryKind) {
  const std::string numbers = Utf8({'1', 0xB2, 0xBD, 0x663, 0x2163, 0x2462, 0x1D7D8});
  EXPECT_THAT(Words("a" + numbers), ElementsAre("a", numbers));
  EXPECT_THAT(Words(Utf8({'1', 0x4E00})), ElementsAre("1", Utf8({0x4E00})));  // a letter
  EXPECT_THAT(Words(Utf8({'e', 0x301})), ElementsAre("e", Utf8({0x301})));    // a mark is neither
}

// Expected classes: tokenizers.pre_tokenizers.ByteLevel of tokenizers 0.23.3.
TEST(Splitter, KnowsUnicode16) {
  for (const uint32_t letter : {0x1C89u, 0xA7CBu, 0x105C0u, 0x13460u, 0x143FAu, 0x2EE5Du}) {
    EXPECT_EQ(Words(Utf8({'a', letter})).size(), 1u) << letter;
  }
  for (const uint32_t number : {0x10D40u, 0x116E3u, 0x1CCF9u, 0x1E5FAu}) {
    EXPECT_EQ(Words(Utf8({'1', number})).size(), 1u) << number;
  }
  for (const uint32_t unassigned : {0x0378u, 0x105F4u, 0x1E5FBu, 0xE0080u}) {
    EXPECT_EQ(Words(Utf8({'!', unassigned})).size(), 1u) << unassigned;
  }
}

#ifdef OCTET_PCRE2
// GPT-2's pattern with White_Space spelled out: PCRE2's \s has U+180E as well.
constexpr const char* kPattern =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^S\\p{L}\\p{N}]+|[S]+(?![^S])|[S]+";
constexpr const char* kSpaces =
    "\\x{09}-\\x{0D}\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}"
    "\\x{205F}\\x{3000}";

class Pcre2Splitter {
 public:
  Pcre2Splitter() {
    std::string pattern;
    for (const char c : std::string(kPattern)) {
      if (c == 'S') {
        pattern += kSpaces;
      } else {
        pattern += c;
      }
    }
    int error = 0;
    PCRE2_SIZE offset = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.c_str()), pattern.size(),
                          PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
    if (code_ != nullptr) match_ = pcre2_match_data_create_from_pattern(code_, nullptr);
  }
  Pcre2Splitter(const Pcre2Splitter&) = delete;
  Pcre2Splitter& operator=(const Pcre2Splitter&) = delete;
  ~Pcre2Splitter() {
    pcre2_match_data_free(match_);
    pcre2_code_free(code_);
  }
  bool ok() const { return match_ != nullptr; }

  std::vector<std::string> Words(const std::string& text) const {
    std::vector<std::string> words;
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.c_str());
    for (size_t pos = 0; pos < text.size();) {
      if (pcre2_match(code_, subject, text.size(), pos, 0, match_, nullptr) < 1) break;
      const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match_);
      words.push_back(text.substr(range[0], range[1] - range[0]));
      pos = range[1];
    }
    return words;
  }

 private:
  pcre2_code* code_ = nullptr;
  pcre2_match_data* match_ = nullptr;
};

RC_GTEST_PROP(Splitter, AgreesWithPcre2, ()) {
  static const Pcre2Splitter oracle;
  RC_ASSERT(oracle.ok());
  // Planes whose assignments PCRE2 10.42 and utf8proc 2.8 know alike.
  std::string text;
  for (const uint32_t c : *rc::gen::container<std::vector<uint32_t>>(GenCodePoint())) {
    if (c < 0x1C80 || (c >= 0x1E00 && c < 0xA700) || (c >= 0xAC00 && c < 0x10000)) {
      AppendUtf8(c, &text);
    }
  }
  RC_ASSERT(Words(text) == oracle.Words(text));
}
#else
TEST(Splitter, AgreesWithPcre2) {
  GTEST_SKIP() << "built without libpcre2-8";
}
#endif

}  // namespace
}  // namespace octet
