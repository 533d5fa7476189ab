#include "text/nfc.h"

#include <algorithm>
#include <array>
#include <vector>

#include <utf8proc.h>

#include "base/utf8.h"

namespace octet {
namespace {

// Code points below this are starters that never compose with what precedes them.
constexpr char32_t kFirstCombining = 0x300;
constexpr unsigned char kFirstCombiningLead = 0xCC;

struct Range {
  char32_t first, last;
};

// Marks and composing letters assigned after Unicode 9, with the unassigned places around them.
// Hugging Face normalizes with Unicode 9, to which these are inert: a character kept as it is.
constexpr auto kInert = std::to_array<Range>(
    {{0x7FD, 0x7FD},     {0x890, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},
     {0xC3C, 0xC3C},     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},
     {0x1ABF, 0x1AFF},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},   {0x105C0, 0x105FF},
     {0x10D00, 0x10D8F}, {0x10E80, 0x10EFF}, {0x10F00, 0x10FAF}, {0x11070, 0x11070},
     {0x1133B, 0x1133B}, {0x11380, 0x113FF}, {0x1145E, 0x1145E}, {0x11800, 0x1184F},
     {0x11900, 0x1195F}, {0x119A0, 0x11AAF}, {0x11D00, 0x11DEF}, {0x11F00, 0x11F5F},
     {0x16100, 0x1613F}, {0x16D40, 0x16D7F}, {0x16FF0, 0x16FF1}, {0x1E030, 0x1E14F},
     {0x1E290, 0x1E2FF}, {0x1E4D0, 0x1E4FF}, {0x1E5D0, 0x1E5FF}, {0x1E6C0, 0x1E6FF}});

bool IsInert(char32_t c) {
  const auto it = std::lower_bound(kInert.begin(), kInert.end(), c,
                                   [](const Range& r, char32_t value) { return r.last < value; });
  return it != kInert.end() && it->first <= c;
}

int CombiningClass(utf8proc_int32_t c) {
  return utf8proc_get_property(c)->combining_class;
}

// Appends the canonical decomposition of `c`, not yet reordered.
void Decompose(char32_t c, std::vector<utf8proc_int32_t>* out) {
  const size_t old_size = out->size();
  const auto code_point = static_cast<utf8proc_int32_t>(c);
  constexpr utf8proc_ssize_t kRoom = 4;  // the longest canonical decomposition of Unicode
  out->resize(old_size + kRoom);
  const utf8proc_ssize_t n = utf8proc_decompose_char(code_point, out->data() + old_size, kRoom,
                                                     UTF8PROC_DECOMPOSE, nullptr);
  if (n < 0 || n > kRoom) {
    out->resize(old_size + 1);
    out->back() = code_point;
  } else {
    out->resize(old_size + static_cast<size_t>(n));
  }
}

// utf8proc_map reorders marks by insertion, quadratic in a run that an attacker makes long.
void ReorderMarks(std::vector<utf8proc_int32_t>* chars) {
  for (auto begin = chars->begin(); begin != chars->end();) {
    if (CombiningClass(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end =
        std::find_if(begin, chars->end(), [](auto c) { return CombiningClass(c) == 0; });
    std::stable_sort(begin, end,
                     [](auto a, auto b) { return CombiningClass(a) < CombiningClass(b); });
    begin = end;
  }
}

void AppendNfc(std::string_view run, std::vector<utf8proc_int32_t>* chars, std::string* out) {
  chars->clear();
  for (size_t pos = 0; pos < run.size();) {
    const Utf8Char c = ReadUtf8(run, pos);
    Decompose(c.code_point, chars);
    pos += c.length;
  }
  ReorderMarks(chars);
  constexpr auto kOptions = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
  const utf8proc_ssize_t n = utf8proc_normalize_utf32(
      chars->data(), static_cast<utf8proc_ssize_t>(chars->size()), kOptions);
  for (utf8proc_ssize_t i = 0; i < n; ++i) {
    utf8proc_uint8_t bytes[4];
    const utf8proc_ssize_t length = utf8proc_encode_char((*chars)[static_cast<size_t>(i)], bytes);
    out->append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
  }
}

// Whether nothing before byte `pos` composes or reorders with what stands there.
bool IsBoundary(std::string_view text, size_t pos) {
  return static_cast<unsigned char>(text[pos]) < kFirstCombiningLead ||
         IsInert(ReadUtf8(text, pos).code_point);
}

}  // namespace

std::string Nfc(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::vector<utf8proc_int32_t> chars;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char first = ReadUtf8(text, pos);
    const size_t second = pos + first.length;
    const bool inert = IsInert(first.code_point);
    size_t end = second;
    while (!inert && end < text.size() && !IsBoundary(text, end)) {
      end += ReadUtf8(text, end).length;
    }
    if (inert || (end == second && first.code_point < kFirstCombining)) {
      out += text.substr(pos, end - pos);
    } else {
      AppendNfc(text.substr(pos, end - pos), &chars, &out);
    }
    pos = end;
  }
  return out;
}

}  // namespace octet
