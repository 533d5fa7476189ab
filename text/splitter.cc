#include "text/splitter.h"
#include "base/utf8.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include <utf8proc.h>

namespace octet {
namespace {

enum class CharClass : uint8_t { kSpace, kLetter, kNumber, kOther };

struct Range {
  char32_t first, last;
};

// Assigned in Unicode 15.1 and 16; utf8proc 2.8 knows Unicode 15.0.
constexpr auto kNewLetters = std::to_array<Range>(
    {{0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3},
     {0x10D4A, 0x10D65}, {0x10D6F, 0x10D85}, {0x10EC2, 0x10EC4}, {0x11380, 0x11389},
     {0x1138B, 0x1138B}, {0x1138E, 0x1138E}, {0x11390, 0x113B5}, {0x113B7, 0x113B7},
     {0x113D1, 0x113D1}, {0x113D3, 0x113D3}, {0x11BC0, 0x11BE0}, {0x13460, 0x143FA},
     {0x16100, 0x1611D}, {0x16D40, 0x16D6C}, {0x18CFF, 0x18CFF}, {0x1E5D0, 0x1E5ED},
     {0x1E5F0, 0x1E5F0}, {0x2EBF0, 0x2EE5D}});
constexpr auto kNewNumbers = std::to_array<Range>({{0x10D40, 0x10D49},
                                                   {0x116D0, 0x116E3},
                                                   {0x11BF0, 0x11BF9},
                                                   {0x16130, 0x16139},
                                                   {0x16D70, 0x16D79},
                                                   {0x1CCF0, 0x1CCF9},
                                                   {0x1E5F1, 0x1E5FA}});

bool Contains(std::span<const Range> ranges, char32_t c) {
  const auto it = std::lower_bound(ranges.begin(), ranges.end(), c,
                                   [](const Range& r, char32_t value) { return r.last < value; });
  return it != ranges.end() && it->first <= c;
}

bool IsSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

CharClass ClassifySlow(char32_t c) {
  if (IsSpace(c)) return CharClass::kSpace;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::kNumber;
    case UTF8PROC_CATEGORY_CN:
      if (Contains(kNewLetters, c)) return CharClass::kLetter;
      if (Contains(kNewNumbers, c)) return CharClass::kNumber;
      return CharClass::kOther;
    default:
      return CharClass::kOther;
  }
}

CharClass Classify(char32_t c) {
  static const std::array<CharClass, 128> ascii = [] {
    std::array<CharClass, 128> table{};
    for (char32_t i = 0; i < table.size(); ++i)
      table[i] = ClassifySlow(i);
    return table;
  }();
  return c < ascii.size() ? ascii[c] : ClassifySlow(c);
}

// Length of the contraction at the start of `text`, 0 if there is none.
size_t Contraction(std::string_view text) {
  if (text.size() < 2 || text[0] != '\'') return 0;
  switch (text[1]) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    default:
      break;
  }
  const std::string_view three = text.substr(0, 3);
  return three == "'re" || three == "'ve" || three == "'ll" ? 3 : 0;
}

CharClass ClassAt(std::string_view text, size_t pos) {
  return Classify(ReadUtf8(text, pos).code_point);
}

size_t SkipClass(std::string_view text, size_t pos, CharClass wanted) {
  while (pos < text.size()) {
    const Utf8Char c = ReadUtf8(text, pos);
    if (Classify(c.code_point) != wanted) break;
    pos += c.length;
  }
  return pos;
}

// \s+(?!\S)|\s+: all white space at the end of the text, else all but the last of several.
size_t SpacesEnd(std::string_view text, size_t start) {
  size_t last = start;
  size_t pos = start;
  while (pos < text.size()) {
    const Utf8Char c = ReadUtf8(text, pos);
    if (Classify(c.code_point) != CharClass::kSpace) return last == start ? pos : last;
    last = pos;
    pos += c.length;
  }
  return pos;
}

}  // namespace

size_t WordEnd(std::string_view text, size_t start) {
  if (const size_t length = Contraction(text.substr(start)); length > 0) return start + length;
  size_t body = start;
  if (text[start] == ' ' && start + 1 < text.size()) ++body;
  const CharClass c = ClassAt(text, body);
  return c == CharClass::kSpace ? SpacesEnd(text, start) : SkipClass(text, body, c);
}

}  // namespace octet
