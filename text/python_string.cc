#include "text/python_string.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include <utf8proc.h>

#include "base/utf8.h"

namespace octet {
namespace {

struct Range {
  char32_t first, last;
};

bool IsIn(std::span<const Range> ranges, char32_t c) {
  return std::ranges::any_of(ranges, [&](const Range& r) { return r.first <= c && c <= r.last; });
}

// str.isspace() is true of White_Space and of what bidirectional text takes for a separator.
bool IsSpace(char32_t c) {
  constexpr Range kSpaces[] = {
      {0x09, 0x0D},     {0x1C, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
      {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
  return IsIn(kSpaces, c);
}

// Title case of what becomes several code points (SpecialCasing.txt).
struct Title {
  char32_t c;
  std::string_view title;
};
constexpr std::array<Title, 48> kTitles = {{{0x00DF, "Ss"},
                                            {0x0149, "\u02BCN"},
                                            {0x01F0, "J\u030C"},
                                            {0x0390, "\u0399\u0308\u0301"},
                                            {0x03B0, "\u03A5\u0308\u0301"},
                                            {0x0587, "\u0535\u0582"},
                                            {0x1E96, "H\u0331"},
                                            {0x1E97, "T\u0308"},
                                            {0x1E98, "W\u030A"},
                                            {0x1E99, "Y\u030A"},
                                            {0x1E9A, "A\u02BE"},
                                            {0x1F50, "\u03A5\u0313"},
                                            {0x1F52, "\u03A5\u0313\u0300"},
                                            {0x1F54, "\u03A5\u0313\u0301"},
                                            {0x1F56, "\u03A5\u0313\u0342"},
                                            {0x1FB2, "\u1FBA\u0345"},
                                            {0x1FB4, "\u0386\u0345"},
                                            {0x1FB6, "\u0391\u0342"},
                                            {0x1FB7, "\u0391\u0342\u0345"},
                                            {0x1FC2, "\u1FCA\u0345"},
                                            {0x1FC4, "\u0389\u0345"},
                                            {0x1FC6, "\u0397\u0342"},
                                            {0x1FC7, "\u0397\u0342\u0345"},
                                            {0x1FD2, "\u0399\u0308\u0300"},
                                            {0x1FD3, "\u0399\u0308\u0301"},
                                            {0x1FD6, "\u0399\u0342"},
                                            {0x1FD7, "\u0399\u0308\u0342"},
                                            {0x1FE2, "\u03A5\u0308\u0300"},
                                            {0x1FE3, "\u03A5\u0308\u0301"},
                                            {0x1FE4, "\u03A1\u0313"},
                                            {0x1FE6, "\u03A5\u0342"},
                                            {0x1FE7, "\u03A5\u0308\u0342"},
                                            {0x1FF2, "\u1FFA\u0345"},
                                            {0x1FF4, "\u038F\u0345"},
                                            {0x1FF6, "\u03A9\u0342"},
                                            {0x1FF7, "\u03A9\u0342\u0345"},
                                            {0xFB00, "Ff"},
                                            {0xFB01, "Fi"},
                                            {0xFB02, "Fl"},
                                            {0xFB03, "Ffi"},
                                            {0xFB04, "Ffl"},
                                            {0xFB05, "St"},
                                            {0xFB06, "St"},
                                            {0xFB13, "\u0544\u0576"},
                                            {0xFB14, "\u0544\u0565"},
                                            {0xFB15, "\u0544\u056B"},
                                            {0xFB16, "\u054E\u0576"},
                                            {0xFB17, "\u0544\u056D"}}};

utf8proc_category_t CategoryOf(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

// The properties Cased and Case_Ignorable: by category, or listed.
bool IsCased(char32_t c) {
  constexpr Range kOthers[] = {{0xAA, 0xAA},      {0xBA, 0xBA},       {0x2160, 0x217F},
                               {0x24B6, 0x24E9},  {0x1F130, 0x1F149}, {0x1F150, 0x1F169},
                               {0x1F170, 0x1F189}};
  const utf8proc_category_t category = CategoryOf(c);
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT || IsIn(kOthers, c);
}

bool IsCaseIgnorable(char32_t c) {
  constexpr Range kOthers[] = {
      {0x27, 0x27},     {0x2E, 0x2E},     {0x3A, 0x3A},     {0xB7, 0xB7},
      {0x387, 0x387},   {0x55F, 0x55F},   {0x5F4, 0x5F4},   {0x2018, 0x2019},
      {0x2024, 0x2024}, {0x2027, 0x2027}, {0xFE13, 0xFE13}, {0xFE52, 0xFE52},
      {0xFE55, 0xFE55}, {0xFF07, 0xFF07}, {0xFF0E, 0xFF0E}, {0xFF1A, 0xFF1A}};
  switch (CategoryOf(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return IsIn(kOthers, c);
  }
}

// A capital sigma that ends a word (Final_Sigma of SpecialCasing.txt).
bool IsFinalSigma(std::span<const char32_t> text, size_t i) {
  const auto before = text.first(i), after = text.subspan(i + 1);
  const auto left = std::find_if_not(before.rbegin(), before.rend(), IsCaseIgnorable);
  if (left == before.rend() || !IsCased(*left)) return false;
  const auto right = std::ranges::find_if_not(after, IsCaseIgnorable);
  return right == after.end() || !IsCased(*right);
}

void Append(char32_t c, std::string* out) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
  out->append(bytes, bytes + n);
}

void AppendTitle(char32_t c, std::string* out) {
  const auto several = std::ranges::find(kTitles, c, &Title::c);
  if (several != kTitles.end()) {
    *out += several->title;
  } else {
    Append(static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))), out);
  }
}

void AppendLower(std::span<const char32_t> text, size_t i, std::string* out) {
  constexpr char32_t kCapitalSigma = 0x3A3, kFinalSigma = 0x3C2, kCapitalDottedI = 0x130;
  if (text[i] == kCapitalSigma && IsFinalSigma(text, i)) {
    Append(kFinalSigma, out);
  } else if (text[i] == kCapitalDottedI) {
    *out += "i\u0307";
  } else {
    Append(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(text[i]))), out);
  }
}

}  // namespace

int64_t CodePoints(std::string_view text) {
  return std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

std::string_view StripLeft(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = ReadUtf8(text, 0);
    if (!IsSpace(c.code_point)) break;
    text.remove_prefix(c.length);
  }
  return text;
}

std::string_view StripRight(std::string_view text) {
  size_t end = 0;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = ReadUtf8(text, pos);
    pos += c.length;
    if (!IsSpace(c.code_point)) end = pos;
  }
  return text.substr(0, end);
}

std::string_view Strip(std::string_view text) {
  return StripRight(StripLeft(text));
}

std::string Capitalize(std::string_view text) {
  std::vector<char32_t> chars;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = ReadUtf8(text, pos);
    chars.push_back(c.code_point);
    pos += c.length;
  }
  std::string out;
  if (!chars.empty()) AppendTitle(chars[0], &out);
  for (size_t i = 1; i < chars.size(); ++i) {
    AppendLower(chars, i, &out);
  }
  return out;
}

std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (size_t at = text.find(from); at != text.npos; at = text.find(from)) {
    out += text.substr(0, at);
    out += to;
    text.remove_prefix(at + from.size());
  }
  return out += text;
}

}  // namespace octet
