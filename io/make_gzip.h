// For tests: gzip data.
#ifndef OCTET_IO_MAKE_GZIP_H_
#define OCTET_IO_MAKE_GZIP_H_

#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

namespace octet {

// One member with the shortest header, 10 bytes, and the trailer that every member has: CRC-32 and
// length, 4 bytes each.
inline std::string MakeGzip(std::string bytes) {
  z_stream z = {};
  EXPECT_EQ(deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY),
            Z_OK);
  std::string out(deflateBound(&z, bytes.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(bytes.data());
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

}  // namespace octet
#endif  // OCTET_IO_MAKE_GZIP_H_
