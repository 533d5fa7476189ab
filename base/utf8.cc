#include "base/utf8.h"

#include <algorithm>

namespace octet {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Lead {
  int continuations = 0;  // 0: the byte starts no multi-byte character
  unsigned char low = 0x80;
  unsigned char high = 0xBF;  // range of the second byte
};

Lead ClassifyLead(unsigned char b) {
  if (b >= 0xC2 && b <= 0xDF) return {1};
  if (b == 0xE0) return {2, 0xA0, 0xBF};
  if (b == 0xED) return {2, 0x80, 0x9F};
  if (b >= 0xE1 && b <= 0xEF) return {2};
  if (b == 0xF0) return {3, 0x90, 0xBF};
  if (b == 0xF4) return {3, 0x80, 0x8F};
  if (b >= 0xF1 && b <= 0xF3) return {3};
  return {};
}

}  // namespace

Utf8Char ReadUtf8(std::string_view text, size_t pos) {
  const auto first = static_cast<unsigned char>(text[pos]);
  if (first < 0x80) return {Utf8Char::Kind::kOk, first, 1};
  const Lead lead = ClassifyLead(first);
  if (lead.continuations == 0) return {};
  char32_t code_point = first & (0x3Fu >> lead.continuations);
  for (int i = 1; i <= lead.continuations; ++i) {
    const auto length = static_cast<size_t>(i);
    if (pos + length >= text.size()) return {Utf8Char::Kind::kIncomplete, 0xFFFD, length};
    const auto b = static_cast<unsigned char>(text[pos + length]);
    const bool in_range = i == 1 ? b >= lead.low && b <= lead.high : (b & 0xC0) == 0x80;
    if (!in_range) return {Utf8Char::Kind::kIllFormed, 0xFFFD, length};
    code_point = code_point << 6 | (b & 0x3Fu);
  }
  return {Utf8Char::Kind::kOk, code_point, static_cast<size_t>(lead.continuations) + 1};
}

size_t FindIllFormed(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = ReadUtf8(text, pos);
    if (c.kind != Utf8Char::Kind::kOk) return pos;
    pos += c.length;
  }
  return text.npos;
}

bool IsUtf8(std::string_view text) {
  return FindIllFormed(text) == text.npos;
}

std::string ReplaceIllFormed(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = ReadUtf8(text, pos);
    out += c.kind == Utf8Char::Kind::kOk ? text.substr(pos, c.length) : kReplacement;
    pos += c.length;
  }
  return out;
}

size_t CompletePrefix(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const size_t pos = text.size() - back;
    const bool continuation = (static_cast<unsigned char>(text[pos]) & 0xC0) == 0x80;
    if (continuation) continue;
    // Only an incomplete character reaches the end; an ill-formed one stops before it.
    return ReadUtf8(text, pos).kind == Utf8Char::Kind::kIncomplete ? pos : text.size();
  }
  return text.size();
}

}  // namespace octet
