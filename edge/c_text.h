// Text of C initializers.
#ifndef OCTET_EDGE_C_TEXT_H_
#define OCTET_EDGE_C_TEXT_H_

#include <string>

#include <fmt/format.h>

namespace octet {

// "static const <type> <name>[n] = {...};" with lines of up to 100 columns; of at least one value.
template <class Values>
std::string CArray(const std::string& type, const std::string& name, const Values& values) {
  std::string text = fmt::format("static const {} {}[{}] = {{\n", type, name, values.size());
  std::string line = "   ";
  for (const auto v : values) {
    // The lowest int32 has no literal of its own.
    const std::string number =
        static_cast<int64_t>(v) == INT32_MIN ? "(-2147483647 - 1)" : fmt::format("{}", +v);
    if (line.size() + number.size() + 2 > 100) {
      text += line + "\n";
      line = "   ";
    }
    line += " " + number + ",";
  }
  return text + line + "\n};\n";
}

inline std::string CUpper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

}  // namespace octet
#endif  // OCTET_EDGE_C_TEXT_H_
