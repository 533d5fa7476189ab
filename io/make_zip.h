// For tests: zip archives, well formed or lying.
#ifndef OCTET_IO_MAKE_ZIP_H_
#define OCTET_IO_MAKE_ZIP_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace octet {

struct ZipOptions {
  bool zip64 = false;       // all sizes and offsets in zip64 records
  uint16_t method = 0;      // claimed for every entry
  uint16_t flags = 0x0808;  // torch's: sizes follow the data, names are UTF-8
  std::string comment;
};

template <class T>
void AppendLittle(std::string* out, T v) {
  for (size_t i = 0; i < sizeof v; ++i)
    out->push_back(static_cast<char>(uint64_t{v} >> (8 * i)));
}

// Stores `files` in this order. CRCs are zero: readers of the library do not check them.
inline std::string MakeZip(const std::vector<std::pair<std::string, std::string>>& files,
                           const ZipOptions& options = {}) {
  constexpr uint32_t kIn64 = 0xffffffff;
  std::string out, directory;
  for (const auto& [name, data] : files) {
    const uint64_t offset = out.size();
    const auto size = static_cast<uint32_t>(data.size());
    const auto names = static_cast<uint16_t>(name.size());
    AppendLittle<uint32_t>(&out, 0x04034b50);
    for (const uint16_t v : {uint16_t{45}, options.flags, options.method})
      AppendLittle(&out, v);
    for (const uint32_t v : {uint32_t{0}, uint32_t{0}, size, size})
      AppendLittle(&out, v);
    AppendLittle(&out, names);
    AppendLittle<uint16_t>(&out, 3);
    out.append(name).append("pad").append(data);

    AppendLittle<uint32_t>(&directory, 0x02014b50);
    for (const uint16_t v : {uint16_t{45}, uint16_t{45}, options.flags, options.method}) {
      AppendLittle(&directory, v);
    }
    AppendLittle<uint64_t>(&directory, 0);
    for (int i = 0; i < 2; ++i)
      AppendLittle(&directory, options.zip64 ? kIn64 : size);
    AppendLittle(&directory, names);
    AppendLittle<uint16_t>(&directory, options.zip64 ? 28 + 5 : 0);
    for (int i = 0; i < 5; ++i)
      AppendLittle<uint16_t>(&directory, 0);
    AppendLittle(&directory, options.zip64 ? kIn64 : static_cast<uint32_t>(offset));
    directory.append(name);
    if (options.zip64) {
      directory.append("\x99\x99\x01\x00x", 5);  // an unrelated extra field comes first
      AppendLittle<uint16_t>(&directory, 1);
      AppendLittle<uint16_t>(&directory, 24);
      for (const uint64_t v : {uint64_t{size}, uint64_t{size}, offset})
        AppendLittle(&directory, v);
    }
  }
  const uint64_t start = out.size();
  out += directory;
  if (options.zip64) {
    const uint64_t end64 = out.size();
    AppendLittle<uint32_t>(&out, 0x06064b50);
    AppendLittle<uint64_t>(&out, 44);
    for (const uint32_t v : {uint32_t{45 << 16 | 45}, uint32_t{0}, uint32_t{0}})
      AppendLittle(&out, v);
    for (const uint64_t v : {files.size(), files.size(), directory.size(), start})
      AppendLittle(&out, v);
    AppendLittle<uint32_t>(&out, 0x07064b50);
    AppendLittle<uint32_t>(&out, 0);
    AppendLittle(&out, end64);
    AppendLittle<uint32_t>(&out, 1);
  }
  const auto count = options.zip64 ? uint16_t{0xffff} : static_cast<uint16_t>(files.size());
  AppendLittle<uint32_t>(&out, 0x06054b50);
  for (const uint16_t v : {uint16_t{0}, uint16_t{0}, count, count})
    AppendLittle(&out, v);
  AppendLittle(&out, options.zip64 ? kIn64 : static_cast<uint32_t>(directory.size()));
  AppendLittle(&out, options.zip64 ? kIn64 : static_cast<uint32_t>(start));
  AppendLittle(&out, static_cast<uint16_t>(options.comment.size()));
  return out + options.comment;
}

}  // namespace octet
#endif  // OCTET_IO_MAKE_ZIP_H_
