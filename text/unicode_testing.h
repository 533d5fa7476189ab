// Random text for the tests of text/.
#ifndef OCTET_TEXT_UNICODE_TESTING_H_
#define OCTET_TEXT_UNICODE_TESTING_H_

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace octet {

// One seed for every run; RC_PARAMS in the environment overrides it.
inline const int kFixedSeed = setenv("RC_PARAMS", "seed=20 max_success=500", /*replace=*/0);

inline void AppendUtf8(uint32_t c, std::string* out) {
  const auto put = [out](uint32_t b) { out->push_back(static_cast<char>(b)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

inline std::string Utf8(const std::vector<uint32_t>& code_points) {
  std::string out;
  for (const uint32_t c : code_points)
    AppendUtf8(c, &out);
  return out;
}

// A character: often ASCII, a mark, a space, a number or a letter of some script; sometimes
// anything.
inline rc::Gen<uint32_t> GenCodePoint() {
  const auto range = [](uint32_t first, uint32_t last) {
    return rc::gen::inRange<uint32_t>(first, last + 1);
  };
  return rc::gen::weightedOneOf<uint32_t>(
      {{4,
        rc::gen::element<uint32_t>(' ', ' ', '\'', 's', 'r', 'e', 'l', 'v', 't', '\n', '1', '!')},
       {3, range(0, 0x7F)},
       {2, rc::gen::element<uint32_t>(0x85, 0xA0, 0x1680, 0x180E, 0x2003, 0x200B, 0x2028, 0x3000)},
       {2, range(0x80, 0x3FF)},
       {2, range(0x300, 0x345)},
       {1, rc::gen::element<uint32_t>(0x660, 0x96F, 0xB2, 0xBD, 0x2163, 0x3007, 0x1D7D8)},
       {1, range(0x1100, 0x11FF)},
       {1, range(0x900, 0x9FF)},
       {1, range(0x4E00, 0x4FFF)},
       {1, range(0xAC00, 0xACFF)},
       {1, range(0x1F300, 0x1F64F)},
       {1, range(0, 0xD7FF)},
       {1, range(0xE000, 0x10FFFF)}});
}

// Well-formed UTF-8.
inline rc::Gen<std::string> GenText() {
  return rc::gen::map(rc::gen::container<std::vector<uint32_t>>(GenCodePoint()), Utf8);
}

// Bytes, mostly pieces of multi-byte characters.
inline rc::Gen<std::string> GenBytes() {
  const auto byte = rc::gen::map(
      rc::gen::oneOf(rc::gen::inRange<int>(0, 256), rc::gen::inRange<int>(0x80, 0xC0),
                     rc::gen::element<int>(0xC1, 0xC3, 0xE0, 0xE2, 0xED, 0xEF, 0xF0, 0xF1, 0xF4,
                                           0xF5, 0x9F, 0xA0, 0x8F, 0x90, 'a')),
      [](int b) { return static_cast<char>(b); });
  return rc::gen::container<std::string>(byte);
}

}  // namespace octet
#endif  // OCTET_TEXT_UNICODE_TESTING_H_
