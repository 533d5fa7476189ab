// UTF-8: reading it and repairing it.
#ifndef OCTET_BASE_UTF8_H_
#define OCTET_BASE_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace octet {

// What starts at one place of a text.
struct Utf8Char {
  enum class Kind : uint8_t {
    kOk,
    kIllFormed,   // no continuation of the text could make this a character
    kIncomplete,  // the text ends inside a character that is well formed so far
  };
  Kind kind = Kind::kIllFormed;
  char32_t code_point = 0xFFFD;  // U+FFFD unless kind is kOk
  // Bytes to step over: the character, or the maximal subpart of an ill-formed subsequence (Unicode
  // 15.0, section 3.9, table 3-7), which is at least 1.
  size_t length = 1;
};

// Reads the character at byte `pos` < text.size().
Utf8Char ReadUtf8(std::string_view text, size_t pos);

// Byte at which the first part of `text` that is no character starts; npos in well-formed text.
size_t FindIllFormed(std::string_view text);
bool IsUtf8(std::string_view text);

// `text` with U+FFFD in place of each maximal ill-formed subpart, as Python's errors="replace" and
// Rust's from_utf8_lossy do it; well-formed text comes back unchanged.
std::string ReplaceIllFormed(std::string_view text);

// Length of the longest prefix of `text` that does not end inside a character that more bytes could
// complete: text.size() or up to 3 less.
size_t CompletePrefix(std::string_view text);

}  // namespace octet
#endif  // OCTET_BASE_UTF8_H_
