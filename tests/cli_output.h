// What tests of the program look for in its output.
#ifndef OCTET_TESTS_CLI_OUTPUT_H_
#define OCTET_TESTS_CLI_OUTPUT_H_

#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "base/json.h"

namespace octet {

// The members of that name.
inline double Number(const Json& object, const std::string& key) {
  const Json* value = object.Find(key);
  EXPECT_TRUE(value != nullptr && value->is_number()) << key << " in " << object.Dump(-1);
  return value != nullptr && value->is_number() ? *value->AsNumber() : -1;
}

inline std::string Text(const Json& object, const std::string& key) {
  const Json* value = object.Find(key);
  EXPECT_TRUE(value != nullptr && value->is_string()) << key << " in " << object.Dump(-1);
  return value != nullptr && value->is_string() ? value->AsString() : "";
}

// Lines of at most 80 columns.
inline void ExpectNarrow(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 80u) << line;
  }
}

}  // namespace octet
#endif  // OCTET_TESTS_CLI_OUTPUT_H_
