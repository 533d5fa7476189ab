// Contracts of base/sha256.h:
//  - the digests of FIPS 180-4's examples and of the lengths around a block's end;
//  - the digest does not depend on how the bytes are cut, and Hex does not end the stream.
#include "base/sha256.h"

#include <gtest/gtest.h>

#include <string_view>

#include "base/rng.h"

namespace octet {
namespace {

std::span<const std::byte> Bytes(std::string_view s) {
  return std::as_bytes(std::span(s));
}

TEST(Sha256, StandardVectors) {
  EXPECT_EQ(Sha256Hex({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex(Bytes("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex(Bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Sha256Hex(Bytes("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                            "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu")),
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  EXPECT_EQ(Sha256Hex(Bytes(std::string(1000000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// Expected values from Python's hashlib.
TEST(Sha256, LengthsAroundABlock) {
  EXPECT_EQ(Sha256Hex(Bytes(std::string(55, 'a'))),
            "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
  EXPECT_EQ(Sha256Hex(Bytes(std::string(56, 'a'))),
            "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
  EXPECT_EQ(Sha256Hex(Bytes(std::string(63, 'a'))),
            "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34");
  EXPECT_EQ(Sha256Hex(Bytes(std::string(64, 'a'))),
            "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
  EXPECT_EQ(Sha256Hex(Bytes(std::string(65, 'a'))),
            "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0");
}

TEST(Sha256, PiecesDoNotMatter) {
  Rng rng(3);
  std::string text(1000, ' ');
  for (char& c : text)
    c = static_cast<char>(rng.Below(256));
  const std::string whole = Sha256Hex(Bytes(text));
  for (int round = 0; round < 50; ++round) {
    Sha256 sha;
    std::string_view rest = text;
    while (!rest.empty()) {
      const size_t n = rng.Below(130);
      sha.Update(Bytes(rest.substr(0, n)));
      rest.remove_prefix(std::min(n, rest.size()));
      EXPECT_EQ(sha.Hex(),
                Sha256Hex(Bytes(std::string_view(text).substr(0, text.size() - rest.size()))));
    }
    EXPECT_EQ(sha.Hex(), whole);
  }
}

}  // namespace
}  // namespace octet
