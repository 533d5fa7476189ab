// Reading gzip data (RFC 1952) that is in memory.
#ifndef OCTET_IO_GZIP_H_
#define OCTET_IO_GZIP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/status.h"

struct z_stream_s;

namespace octet {

// A byte of gzip data never stands for more than this many bytes: deflate's longest match, 258
// bytes, takes at least 2 bits.
constexpr int64_t kGzipMaxExpansion = 1032;

// Whether `file` starts as gzip data does.
bool IsGzip(std::span<const std::byte> file);

// Decompresses one gzip member a piece at a time and never holds more than the piece asked for, so
// that a small file which stands for a huge one costs nothing.
class GzipReader {
 public:
  // Reads from `file`, which must outlive the reader. kInternal when the system has no memory.
  static Result<GzipReader> Create(std::span<const std::byte> file);

  // Fills `out` with the bytes that come next. kCorrupt when the data are malformed, are cut short
  // or end before `out` is full; the reader is of no use afterwards.
  Status Read(std::span<std::byte> out);

  // The last call. kCorrupt unless everything has been read, its checksum (CRC-32) and length are
  // those that the file states, and nothing follows, not even a second member.
  Status Finish();

 private:
  using Stream = std::unique_ptr<z_stream_s, void (*)(z_stream_s*)>;
  GzipReader(std::span<const std::byte> rest, Stream stream);
  // Decompresses into the front of `out`, not empty, and returns what is left of it.
  Result<std::span<std::byte>> Step(std::span<std::byte> out);

  std::span<const std::byte> rest_;  // not yet decompressed
  Stream stream_;
  bool ended_ = false;
};

}  // namespace octet
#endif  // OCTET_IO_GZIP_H_
