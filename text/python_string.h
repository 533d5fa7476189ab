// What Python's str does to text, where a protocol that is written in Python says so.
#ifndef OCTET_TEXT_PYTHON_STRING_H_
#define OCTET_TEXT_PYTHON_STRING_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace octet {

// All of them take well-formed UTF-8. Case is that of the utf8proc in use (Unicode 15 for 2.8).

// len(text): code points.
int64_t CodePoints(std::string_view text);

// text.lstrip(), text.rstrip() and text.strip(): without what str.isspace() is true of at the
// beginning, the end, or both.
std::string_view StripLeft(std::string_view text);
std::string_view StripRight(std::string_view text);
std::string_view Strip(std::string_view text);

// text.capitalize(): the first code point in title case, the others in lower case, by the full
// mappings of Unicode (SpecialCasing.txt without its locales; a final capital sigma included).
std::string Capitalize(std::string_view text);

// text.replace(from, to); `from` is not empty.
std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to);

}  // namespace octet
#endif  // OCTET_TEXT_PYTHON_STRING_H_
