// For tests: idx files, well formed or lying.
#ifndef OCTET_IO_MAKE_IDX_H_
#define OCTET_IO_MAKE_IDX_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace octet {

constexpr uint32_t kIdxLabels = 0x00000801;
constexpr uint32_t kIdxImages = 0x00000803;

inline std::string MakeIdx(uint32_t magic, const std::vector<uint32_t>& sizes,
                           std::string_view bytes) {
  std::string out;
  const auto append = [&out](uint32_t v) {
    for (const int shift : {24, 16, 8, 0})
      out.push_back(static_cast<char>(v >> shift & 0xff));
  };
  append(magic);
  for (const uint32_t size : sizes)
    append(size);
  return out.append(bytes);
}

}  // namespace octet
#endif  // OCTET_IO_MAKE_IDX_H_
