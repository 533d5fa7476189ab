#include "io/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <set>
#include <string_view>

#include "base/buffer.h"
#include "base/checked.h"
#include "base/json.h"
#include "base/utf8.h"
#include "io/file_writer.h"
#include "io/mmap.h"

namespace octet {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little endian");

constexpr uint64_t kMaxHeader = 100'000'000;
constexpr size_t kPrefix = 8;  // the header's length
constexpr size_t kAlignment = 64;
constexpr const char* kTruncated = "; the file seems to be truncated";

struct Stored {
  std::string_view name;
  std::optional<DType> dtype;  // nothing: known to the format, not to Octet
};

// Every element type of the format, safetensors 0.6.
constexpr Stored kTypes[] = {
    {"F32", DType::kF32}, {"F16", DType::kF16}, {"BF16", DType::kBF16},
    {"I8", DType::kI8},   {"U8", DType::kU8},   {"I32", DType::kI32},
    {"I64", DType::kI64}, {"BOOL", {}},         {"F4", {}},
    {"F6_E2M3", {}},      {"F6_E3M2", {}},      {"F8_E5M2", {}},
    {"F8_E4M3", {}},      {"F8_E8M0", {}},      {"I16", {}},
    {"U16", {}},          {"U32", {}},          {"F64", {}},
    {"C64", {}},          {"U64", {}},
};

struct Entry {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  int64_t begin = 0, end = 0;  // in the data section
};

Result<DType> ParseDType(const Json* v) {
  if (v == nullptr || !v->is_string()) return Corrupt("\"dtype\" is missing or not a string");
  for (const Stored& type : kTypes) {
    if (type.name != v->AsString()) continue;
    if (type.dtype) return *type.dtype;
    return Unsupported(fmt::format("element type {} is not supported", type.name));
  }
  return Corrupt(fmt::format("unknown element type \"{:.40}\"", v->AsString()));
}

Result<std::vector<int64_t>> ParseSizes(const Json* v, std::string_view member) {
  if (v == nullptr || !v->is_array()) {
    return Corrupt(fmt::format("\"{}\" is missing or not an array", member));
  }
  std::vector<int64_t> sizes;
  for (const Json& item : v->AsArray()) {
    if (!item.is_int() || item.AsInt() < 0) {
      return Corrupt(fmt::format("\"{}\" holds something other than integers >= 0", member));
    }
    sizes.push_back(item.AsInt());
  }
  return sizes;
}

Result<Entry> ParseEntry(const Json::Member& member, int64_t data_bytes) {
  const Json& info = member.second;
  Entry e;
  e.name = member.first;
  if (!info.is_object()) return Corrupt("the description is not an object");
  OCTET_ASSIGN(e.dtype, ParseDType(info.Find("dtype")));
  OCTET_ASSIGN(e.shape, ParseSizes(info.Find("shape"), "shape"));
  OCTET_ASSIGN(const auto offsets, ParseSizes(info.Find("data_offsets"), "data_offsets"));
  if (offsets.size() != 2) return Corrupt("\"data_offsets\" is not a pair");
  e.begin = offsets[0];
  e.end = offsets[1];
  if (e.begin > e.end || e.end > data_bytes) {
    return Corrupt(fmt::format("bytes {} to {} do not lie in the data of {} bytes{}", e.begin,
                               e.end, data_bytes, e.begin > e.end ? "" : kTruncated));
  }
  const std::optional<int64_t> count = CheckedCount(e.shape);
  const auto bytes = count ? CheckedMul(*count, BytesOf(e.dtype, 1)) : std::nullopt;
  if (!bytes) return Corrupt("the shape overflows");
  if (*bytes != e.end - e.begin) {
    return Corrupt(
        fmt::format("the shape needs {} bytes, the offsets give {}", *bytes, e.end - e.begin));
  }
  return e;
}

Status CheckMetadata(const Json& metadata) {
  if (!metadata.is_object()) return Corrupt("\"__metadata__\" is not an object");
  for (const auto& [name, value] : metadata.AsObject()) {
    if (!value.is_string()) {
      return Corrupt(fmt::format("\"__metadata__\": \"{:.200}\" is not a string", name));
    }
  }
  return {};
}

Status CheckCoverage(std::vector<Entry>* entries, int64_t data_bytes) {
  std::sort(entries->begin(), entries->end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  int64_t covered = 0;
  for (const Entry& e : *entries) {
    if (e.begin < covered) {
      return Corrupt(fmt::format("tensor {:.200}: overlaps another tensor", e.name));
    }
    if (e.begin > covered) {
      return Corrupt(fmt::format("tensor {:.200}: {} bytes before it belong to no tensor", e.name,
                                 e.begin - covered));
    }
    covered = e.end;
  }
  if (covered != data_bytes) {
    return Corrupt(fmt::format("the last {} bytes belong to no tensor", data_bytes - covered));
  }
  return {};
}

Result<std::vector<Entry>> ParseHeader(std::string_view header, int64_t data_bytes) {
  if (!header.starts_with('{')) return Corrupt("the header does not start with {");
  const Result<Json> json = Json::Parse(header);
  if (!json.ok()) return json.status().Annotate("header");
  std::vector<Entry> entries;
  for (const Json::Member& member : json->AsObject()) {
    if (member.first == "__metadata__") {
      OCTET_TRY(CheckMetadata(member.second));
      continue;
    }
    Result<Entry> entry = ParseEntry(member, data_bytes);
    if (!entry.ok()) return entry.status().Annotate(fmt::format("tensor {:.200}", member.first));
    entries.push_back(*std::move(entry));
  }
  OCTET_TRY(CheckCoverage(&entries, data_bytes));
  return entries;
}

// What the file stores for `w`: kI4 has no element type of its own there.
struct Image {
  std::string_view dtype;
  std::vector<int64_t> shape;
  int64_t bytes;
};

Result<Image> ImageOf(const Weight& w) {
  Image image = {"U8", w.shape, w.count()};
  if (w.dtype == DType::kI4) {
    if (w.shape.empty()) return InvalidArgument("a 4-bit tensor has no rows");
    image.shape = {w.rows(), CeilDiv(w.columns(), 2)};
    image.bytes = image.shape[0] * image.shape[1];
  } else {
    const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                    [&w](const Stored& t) { return t.dtype == w.dtype; });
    image.dtype = type->name;
    image.bytes = w.data_bytes();
  }
  if (image.bytes > 0 && w.data == nullptr) return InvalidArgument("the tensor has no data");
  return image;
}

// The header, padded so that the data starts on a 64-byte boundary of the file.
Result<std::string> HeaderOf(const std::vector<std::pair<std::string, Weight>>& tensors,
                             const std::map<std::string, std::string>& metadata) {
  Json::Object header;
  if (!metadata.empty()) {
    Json::Object strings;
    for (const auto& [name, value] : metadata)
      strings.emplace_back(name, value);
    header.emplace_back("__metadata__", std::move(strings));
  }
  int64_t offset = 0;
  for (const auto& [name, w] : tensors) {
    const Result<Image> image = ImageOf(w);
    if (!image.ok()) return image.status().Annotate(fmt::format("tensor {}", name));
    if (!IsUtf8(name)) return InvalidArgument("the name of a tensor is not UTF-8");
    Json::Array shape(image->shape.begin(), image->shape.end());
    Json::Array offsets = {offset, offset + image->bytes};
    Json::Object info;
    info.emplace_back("dtype", std::string(image->dtype));
    info.emplace_back("shape", std::move(shape));
    info.emplace_back("data_offsets", std::move(offsets));
    header.emplace_back(name, std::move(info));
    offset += image->bytes;
  }
  std::string text = Json(std::move(header)).Dump(-1);
  // Finds names that are repeated or reserved.
  const Result<std::vector<Entry>> check = ParseHeader(text, offset);
  if (!check.ok()) return InvalidArgument(check.status().message());
  text.append((kAlignment - (kPrefix + text.size()) % kAlignment) % kAlignment, ' ');
  if (text.size() > kMaxHeader) return TooLarge("the header exceeds 100 MB");
  return text;
}

}  // namespace

Result<WeightMap> ParseSafetensors(std::span<const std::byte> file,
                                   const std::shared_ptr<const void>& owner, bool mapped) {
  if (file.size() < kPrefix) return Corrupt("not a safetensors file: shorter than 8 bytes");
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), kPrefix);
  if (header_bytes > kMaxHeader) {
    return Corrupt(fmt::format(
        "not a safetensors file: the header's length of {} bytes exceeds 100 MB", header_bytes));
  }
  if (header_bytes > file.size() - kPrefix) {
    return Corrupt(fmt::format("the header's length of {} bytes exceeds the file's {}{}",
                               header_bytes, file.size(), kTruncated));
  }
  const std::string_view header(reinterpret_cast<const char*>(file.data() + kPrefix), header_bytes);
  const std::span<const std::byte> data = file.subspan(kPrefix + header_bytes);
  OCTET_ASSIGN(std::vector<Entry> entries, ParseHeader(header, static_cast<int64_t>(data.size())));
  WeightMap weights;
  for (Entry& e : entries) {
    Weight w;
    w.dtype = e.dtype;
    w.shape = std::move(e.shape);
    w.data = data.data() + e.begin;
    w.owner = owner;
    w.mapped = mapped;
    const auto element = static_cast<uintptr_t>(BytesOf(e.dtype, 1));
    if (reinterpret_cast<uintptr_t>(w.data) % element != 0) {
      auto aligned = std::make_shared<Buffer>(e.end - e.begin);
      if (e.end > e.begin)
        std::memcpy(aligned->data(), w.data, static_cast<size_t>(e.end - e.begin));
      w.data = aligned->data();
      w.owner = std::move(aligned);
      w.mapped = false;
    }
    weights.Set(std::move(e.name), std::move(w));
  }
  return weights;
}

Result<WeightMap> ReadSafetensors(const std::string& path) {
  OCTET_ASSIGN(const std::shared_ptr<const FileMapping> mapping, FileMapping::Open(path));
  Result<WeightMap> weights = ParseSafetensors(mapping->bytes(), mapping, true);
  if (!weights.ok()) return weights.status().Annotate(path);
  return weights;
}

Status WriteSafetensors(const std::string& path,
                        const std::vector<std::pair<std::string, Weight>>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  const Result<std::string> header = HeaderOf(tensors, metadata);
  if (!header.ok()) return header.status().Annotate(path);
  const uint64_t header_bytes = header->size();
  OCTET_ASSIGN(FileWriter writer, FileWriter::Create(path));
  OCTET_TRY(writer.Write(std::as_bytes(std::span(&header_bytes, 1))));
  OCTET_TRY(writer.Write(std::as_bytes(std::span(*header))));
  for (const auto& [name, w] : tensors) {
    const int64_t bytes = ImageOf(w)->bytes;
    OCTET_TRY(writer.Write({w.data, static_cast<size_t>(bytes)}));
  }
  return writer.Commit();
}

}  // namespace octet
