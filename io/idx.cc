#include "io/idx.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "base/checked.h"
#include "io/gzip.h"
#include "io/mmap.h"

namespace octet {
namespace {

// The format: "The IDX file format" on the page of the MNIST database, Yann LeCun et al.
constexpr uint32_t kUnsignedBytes = 0x0800;  // the low byte of the magic number counts the sizes
constexpr size_t kWord = 4;
constexpr size_t kMaxHeader = 4 * kWord;
constexpr int64_t kMaxBytes = int64_t{1} << 31;

using Bytes = std::span<const std::byte>;

size_t HeaderBytes(IdxKind kind) {
  return kWord + kWord * static_cast<size_t>(kind);
}

uint32_t LoadBig(Bytes bytes, size_t at) {
  uint32_t v = 0;
  for (size_t i = 0; i < kWord; ++i)
    v = v << 8 | std::to_integer<uint32_t>(bytes[at + i]);
  return v;
}

// The sizes; their product is at most kMaxBytes.
Result<std::vector<int64_t>> ParseShape(Bytes header, IdxKind kind) {
  const uint32_t magic = LoadBig(header, 0);
  const uint32_t expected = kUnsignedBytes | static_cast<uint32_t>(kind);
  if (magic != expected) {
    return Corrupt(fmt::format("starts with 0x{:08x}; an idx file of {} starts with 0x{:08x}",
                               magic, kind == IdxKind::kImages ? "images" : "labels", expected));
  }
  std::vector<int64_t> shape;
  for (size_t at = kWord; at < header.size(); at += kWord) {
    shape.push_back(LoadBig(header, at));
  }
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) {
    return Corrupt(fmt::format("a size is 0: {}", fmt::join(shape, " x ")));
  }
  const std::optional<int64_t> bytes = CheckedCount(shape);
  if (!bytes || *bytes > kMaxBytes) {
    return TooLarge(
        fmt::format("its sizes, {}, are more than {} bytes", fmt::join(shape, " x "), kMaxBytes));
  }
  return shape;
}

Result<IdxArray> ParsePlain(Bytes file, IdxKind kind) {
  const size_t header = HeaderBytes(kind);
  if (file.size() < header) return Corrupt("too short for the header of an idx file");
  IdxArray out;
  OCTET_ASSIGN(out.shape, ParseShape(file.first(header), kind));
  const Bytes data = file.subspan(header);
  const auto expected = static_cast<size_t>(*CheckedCount(out.shape));
  if (data.size() != expected) {
    return Corrupt(fmt::format("its sizes, {}, need {} bytes; {} follow the header",
                               fmt::join(out.shape, " x "), expected, data.size()));
  }
  const auto* first = reinterpret_cast<const uint8_t*>(data.data());
  out.bytes.assign(first, first + data.size());
  return out;
}

Result<IdxArray> ParseGzip(Bytes file, IdxKind kind) {
  OCTET_ASSIGN(GzipReader reader, GzipReader::Create(file));
  std::array<std::byte, kMaxHeader> room = {};
  const std::span<std::byte> header = std::span(room).first(HeaderBytes(kind));
  OCTET_TRY(reader.Read(header));
  IdxArray out;
  OCTET_ASSIGN(out.shape, ParseShape(header, kind));
  const int64_t bytes = *CheckedCount(out.shape);
  if (CeilDiv(bytes, kGzipMaxExpansion) > static_cast<int64_t>(file.size())) {
    return Corrupt(fmt::format("its sizes, {}, need more bytes than {} of gzip data can hold",
                               fmt::join(out.shape, " x "), file.size()));
  }
  out.bytes.resize(static_cast<size_t>(bytes));
  OCTET_TRY(reader.Read(std::as_writable_bytes(std::span(out.bytes))));
  OCTET_TRY(reader.Finish());
  return out;
}

}  // namespace

Result<IdxArray> ParseIdx(Bytes file, IdxKind kind) {
  return IsGzip(file) ? ParseGzip(file, kind) : ParsePlain(file, kind);
}

Result<IdxArray> ReadIdx(const std::string& path, IdxKind kind) {
  OCTET_ASSIGN(const std::shared_ptr<const FileMapping> mapping, FileMapping::Open(path));
  Result<IdxArray> array = ParseIdx(mapping->bytes(), kind);
  if (!array.ok()) return array.status().Annotate(path);
  return array;
}

}  // namespace octet
