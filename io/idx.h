// idx files, in which MNIST comes: a magic number, sizes, unsigned bytes; plain or gzip.
#ifndef OCTET_IO_IDX_H_
#define OCTET_IO_IDX_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace octet {

// What a file must hold; the value is its number of sizes.
enum class IdxKind : uint8_t {
  kLabels = 1,  // idx1-ubyte: [count], magic number 0x00000801
  kImages = 3,  // idx3-ubyte: [count, rows, columns], magic number 0x00000803
};

struct IdxArray {
  std::vector<int64_t> shape;  // as many sizes as its kind has, each at least 1
  std::vector<uint8_t> bytes;  // the last size runs fastest
};

// Parses a whole file that is in memory; its first bytes say whether it is gzip. kCorrupt unless
// the magic number is that of `kind`, no size is 0 and the bytes are exactly as many as the sizes
// say; kTooLarge for more than 2^31 bytes. What is allocated is at most what the sizes say, and
// never more than kGzipMaxExpansion times the file.
Result<IdxArray> ParseIdx(std::span<const std::byte> file, IdxKind kind);

// Maps and parses the file; errors start with its path. kNotFound when there is none.
Result<IdxArray> ReadIdx(const std::string& path, IdxKind kind);

}  // namespace octet
#endif  // OCTET_IO_IDX_H_
