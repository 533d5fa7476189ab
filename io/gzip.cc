#include "io/gzip.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <utility>

namespace octet {
namespace {

constexpr int kGzipOnly = 16 + MAX_WBITS;  // zlib.h, inflateInit2: no zlib header, no raw deflate
constexpr size_t kMaxPiece = size_t{1} << 30;  // zlib counts in 32 bits

void End(z_stream* stream) {
  inflateEnd(stream);
  delete stream;
}

}  // namespace

bool IsGzip(std::span<const std::byte> file) {
  return file.size() >= 2 && file[0] == std::byte{0x1f} && file[1] == std::byte{0x8b};
}

GzipReader::GzipReader(std::span<const std::byte> rest, Stream stream)
    : rest_(rest), stream_(std::move(stream)) {}

Result<GzipReader> GzipReader::Create(std::span<const std::byte> file) {
  auto stream = std::make_unique<z_stream>();
  if (inflateInit2(stream.get(), kGzipOnly) != Z_OK) return Internal("gzip: out of memory");
  return GzipReader(file, Stream(stream.release(), End));
}

Result<std::span<std::byte>> GzipReader::Step(std::span<std::byte> out) {
  z_stream& z = *stream_;
  const size_t in_size = std::min(rest_.size(), kMaxPiece);
  const size_t out_size = std::min(out.size(), kMaxPiece);
  z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(rest_.data()));
  z.avail_in = static_cast<uInt>(in_size);
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out_size);
  const int result = inflate(&z, Z_NO_FLUSH);
  rest_ = rest_.subspan(in_size - z.avail_in);
  ended_ = result == Z_STREAM_END;
  if (result == Z_BUF_ERROR) return Corrupt("the gzip data are cut short");
  if (result == Z_MEM_ERROR) return Internal("gzip: out of memory");
  if (result != Z_OK && !ended_) {
    return Corrupt(fmt::format("malformed gzip data: {}", z.msg != nullptr ? z.msg : "unknown"));
  }
  return out.subspan(out_size - z.avail_out);
}

Status GzipReader::Read(std::span<std::byte> out) {
  while (!out.empty()) {
    if (ended_) return Corrupt(fmt::format("the gzip data end {} bytes early", out.size()));
    OCTET_ASSIGN(out, Step(out));
  }
  return {};
}

Status GzipReader::Finish() {
  while (!ended_) {
    std::byte surplus = {};
    OCTET_ASSIGN(const auto room, Step({&surplus, 1}));
    if (room.empty()) return Corrupt("the gzip data hold more bytes than they should");
  }
  if (rest_.empty()) return {};
  return Corrupt(fmt::format("{} bytes follow the end of the gzip data", rest_.size()));
}

}  // namespace octet
