// Contracts of io/gzip.h:
//  - the bytes come out, however they are cut into pieces and whatever the optional header fields;
//  - truncated, altered and overlong data are refused, and so is what follows them;
//  - data that stand for more than is asked for are refused without decompressing the rest;
//  - no data expand by more than kGzipMaxExpansion.
#include "io/gzip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <span>
#include <string>

#include "io/make_gzip.h"

namespace octet {
namespace {

using testing::HasSubstr;

constexpr size_t kHeader = 10, kTrailer = 8;

struct Outcome {
  Status status;
  std::string bytes;
};

// Reads `size` bytes in pieces of `piece` and finishes.
Outcome Gunzip(const std::string& gzip, size_t size, size_t piece = 1 << 20) {
  Outcome out;
  auto reader = GzipReader::Create(std::as_bytes(std::span(gzip)));
  if (!reader.ok()) return {reader.status(), ""};
  out.bytes.resize(size);
  for (size_t at = 0; at < size && out.status.ok(); at += piece) {
    out.status = reader->Read(
        std::as_writable_bytes(std::span(out.bytes).subspan(at, std::min(piece, size - at))));
  }
  if (out.status.ok()) out.status = reader->Finish();
  return out;
}

// Compresses, but not to nothing.
std::string SomeBytes(size_t size) {
  std::mt19937 random(7);
  std::string bytes(size, '\0');
  for (char& c : bytes)
    c = static_cast<char>(random() % 5);
  return bytes;
}

TEST(Gzip, ReadsInPiecesOfAnySize) {
  const std::string bytes = SomeBytes(100'000);
  const std::string gzip = MakeGzip(bytes);
  ASSERT_LT(gzip.size(), bytes.size() / 2);
  for (const size_t piece : {1, 7, 4096, 99'999, 100'000}) {
    const Outcome out = Gunzip(gzip, bytes.size(), piece);
    EXPECT_TRUE(out.status.ok()) << piece << ": " << out.status.message();
    EXPECT_TRUE(out.bytes == bytes) << piece;
  }
  EXPECT_TRUE(Gunzip(MakeGzip(""), 0).status.ok());
}

TEST(Gzip, PassesOverTheOptionalHeaderFields) {
  std::string gzip = MakeGzip("bytes");
  gzip[3] = 4 | 8 | 16;  // RFC 1952: FEXTRA, FNAME, FCOMMENT
  gzip.insert(kHeader, std::string("\2\0ex", 4) + std::string("name\0comment\0", 13));
  const Outcome out = Gunzip(gzip, 5);
  EXPECT_TRUE(out.status.ok()) << out.status.message();
  EXPECT_EQ(out.bytes, "bytes");
}

TEST(Gzip, IsKnownByItsFirstTwoBytes) {
  const auto is_gzip = [](const std::string& s) { return IsGzip(std::as_bytes(std::span(s))); };
  EXPECT_TRUE(is_gzip(MakeGzip("")));
  EXPECT_TRUE(is_gzip("\x1f\x8b"));
  EXPECT_FALSE(IsGzip(std::as_bytes(std::span("\x1f\x8b").first(1))));
  EXPECT_FALSE(is_gzip(""));
  EXPECT_FALSE(is_gzip("\x1f\x8a\x8b"));
  EXPECT_FALSE(is_gzip("\x8b\x1f"));
}

TEST(Gzip, RefusesEveryTruncation) {
  const std::string bytes = SomeBytes(300);
  const std::string gzip = MakeGzip(bytes);
  for (size_t n = 0; n < gzip.size(); ++n) {
    const Status status = Gunzip(gzip.substr(0, n), bytes.size()).status;
    EXPECT_EQ(status.code(), Code::kCorrupt) << n;
    EXPECT_THAT(status.message(), HasSubstr("cut short")) << n;
  }
}

TEST(Gzip, RefusesAlteredData) {
  const std::string bytes = SomeBytes(300);
  const std::string gzip = MakeGzip(bytes);
  const auto error = [&](size_t at, int value) {
    std::string altered = gzip;
    altered[at] = static_cast<char>(altered[at] ^ value);
    return Gunzip(altered, bytes.size()).status;
  };
  EXPECT_THAT(error(0, 1).message(), HasSubstr("incorrect header check"));
  EXPECT_THAT(error(2, 1).message(), HasSubstr("unknown compression method"));
  EXPECT_THAT(error(3, 0x80).message(), HasSubstr("unknown header flags"));
  EXPECT_THAT(error(kHeader, 7).message(), HasSubstr("malformed gzip data: invalid"));
  // All bits of the checksum and of the length.
  for (size_t at = gzip.size() - kTrailer; at < gzip.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      EXPECT_EQ(error(at, 1 << bit).code(), Code::kCorrupt) << at;
    }
  }
  EXPECT_THAT(error(gzip.size() - 8, 1).message(), HasSubstr("incorrect data check"));
  EXPECT_THAT(error(gzip.size() - 1, 1).message(), HasSubstr("incorrect length check"));
  for (size_t at = kHeader; at < gzip.size(); ++at) {
    EXPECT_FALSE(error(at, 0x55).ok()) << at;
  }
}

TEST(Gzip, RefusesWhatFollows) {
  const std::string gzip = MakeGzip("bytes");
  EXPECT_EQ(Gunzip(gzip + std::string(1, '\0'), 5).status.message(),
            "1 bytes follow the end of the gzip data");
  EXPECT_THAT(Gunzip(gzip + gzip, 5).status.message(), HasSubstr("bytes follow the end"));
  EXPECT_THAT(Gunzip(gzip + gzip, 10).status.message(), HasSubstr("end 5 bytes early"));
}

TEST(Gzip, RefusesAnotherLengthThanAskedFor) {
  const std::string gzip = MakeGzip("bytes");
  EXPECT_EQ(Gunzip(gzip, 6).status.message(), "the gzip data end 1 bytes early");
  EXPECT_EQ(Gunzip(gzip, 4).status.message(), "the gzip data hold more bytes than they should");
  EXPECT_EQ(Gunzip(gzip, 0).status.code(), Code::kCorrupt);
}

TEST(Gzip, NeverExpandsBeyondTheBound) {
  constexpr size_t kZeros = 32 << 20;
  std::string bomb = MakeGzip(std::string(kZeros, '\0'));
  EXPECT_LE(kZeros, kGzipMaxExpansion * bomb.size());
  EXPECT_GE(kZeros, (kGzipMaxExpansion - 10) * bomb.size());
  // What lies behind the bytes asked for is not decompressed: damage there is not seen.
  bomb.back() = static_cast<char>(bomb.back() ^ 1);
  EXPECT_THAT(Gunzip(bomb, 100).status.message(), HasSubstr("more bytes than"));
  EXPECT_THAT(Gunzip(bomb, kZeros).status.message(), HasSubstr("incorrect length check"));
}

}  // namespace
}  // namespace octet
