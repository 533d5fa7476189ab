// SHA-256 (FIPS 180-4), to name the exact bytes of a file.
#ifndef OCTET_BASE_SHA256_H_
#define OCTET_BASE_SHA256_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace octet {

// Hash of bytes that arrive in pieces; how they are cut does not matter.
class Sha256 {
 public:
  void Update(std::span<const std::byte> bytes);
  // The hash of everything so far as 64 lower-case hex digits. Update may go on afterwards.
  std::string Hex() const;

 private:
  void Block(const uint8_t* block);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> pending_ = {};  // the first length_ % 64 bytes are waiting
  uint64_t length_ = 0;
};

std::string Sha256Hex(std::span<const std::byte> bytes);

}  // namespace octet
#endif  // OCTET_BASE_SHA256_H_
