// Contracts of io/idx.h:
//  - plain and gzip files give the same sizes and bytes, whatever the file's name;
//  - every truncation and every byte too many is refused, plain and gzip;
//  - another magic number, a size of 0 and sizes beyond the bound are refused;
//  - a small gzip file that claims or holds very much is refused before that is allocated.
#include "io/idx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <span>
#include <string>

#include "io/make_gzip.h"
#include "io/make_idx.h"
#include "io/scratch_folder.h"

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint32_t kMost = 0xffffffff;

Result<IdxArray> Parse(const std::string& file, IdxKind kind) {
  return ParseIdx(std::as_bytes(std::span(file)), kind);
}

// The error for images of these sizes, as a plain and as a gzip file, which must agree on the code.
Status ErrorOf(const std::string& idx, IdxKind kind) {
  const Status status = Parse(idx, kind).status();
  EXPECT_EQ(Parse(MakeGzip(idx), kind).status().code(), status.code());
  return status;
}

const std::string& SomeImages() {
  static const std::string idx = MakeIdx(kIdxImages, {2, 2, 3}, "abcdefABCDE\xff");
  return idx;
}

TEST(Idx, ReadsImagesAndLabels) {
  for (const bool gzip : {false, true}) {
    const auto images = Parse(gzip ? MakeGzip(SomeImages()) : SomeImages(), IdxKind::kImages);
    ASSERT_TRUE(images.ok()) << images.status().message();
    EXPECT_THAT(images->shape, ElementsAre(2, 2, 3));
    EXPECT_THAT(images->bytes,
                ElementsAre('a', 'b', 'c', 'd', 'e', 'f', 'A', 'B', 'C', 'D', 'E', 255));
    const std::string idx = MakeIdx(kIdxLabels, {4}, std::string("\0\1\x0a\xff", 4));
    const auto labels = Parse(gzip ? MakeGzip(idx) : idx, IdxKind::kLabels);
    ASSERT_TRUE(labels.ok()) << labels.status().message();
    EXPECT_THAT(labels->shape, ElementsAre(4));
    EXPECT_THAT(labels->bytes, ElementsAre(0, 1, 10, 255));
  }
}

TEST(Idx, ReadsSizesOfFourBytes) {
  const auto images =
      Parse(MakeIdx(kIdxImages, {1, 0x10203, 1}, std::string(0x10203, 'x')), IdxKind::kImages);
  ASSERT_TRUE(images.ok()) << images.status().message();
  EXPECT_THAT(images->shape, ElementsAre(1, 0x10203, 1));
}

TEST(Idx, RefusesEveryTruncation) {
  const std::string gzip = MakeGzip(SomeImages());
  for (size_t n = 0; n < SomeImages().size(); ++n) {
    EXPECT_EQ(ErrorOf(SomeImages().substr(0, n), IdxKind::kImages).code(), Code::kCorrupt) << n;
  }
  for (size_t n = 0; n < gzip.size(); ++n) {
    EXPECT_EQ(Parse(gzip.substr(0, n), IdxKind::kImages).status().code(), Code::kCorrupt) << n;
  }
  EXPECT_EQ(ErrorOf(SomeImages().substr(0, 15), IdxKind::kImages).message(),
            "too short for the header of an idx file");
  EXPECT_EQ(ErrorOf(SomeImages().substr(0, 27), IdxKind::kImages).message(),
            "its sizes, 2 x 2 x 3, need 12 bytes; 11 follow the header");
}

TEST(Idx, RefusesBytesTooMany) {
  EXPECT_EQ(ErrorOf(SomeImages() + "x", IdxKind::kImages).message(),
            "its sizes, 2 x 2 x 3, need 12 bytes; 13 follow the header");
  EXPECT_THAT(Parse(MakeGzip(SomeImages() + "x"), IdxKind::kImages).status().message(),
              HasSubstr("more bytes than they should"));
  EXPECT_THAT(Parse(MakeGzip(SomeImages()) + "x", IdxKind::kImages).status().message(),
              HasSubstr("1 bytes follow"));
}

TEST(Idx, RefusesAlteredGzip) {
  std::string gzip = MakeGzip(SomeImages());
  const size_t checksum = gzip.size() - 8;
  gzip[checksum] = static_cast<char>(gzip[checksum] ^ 1);
  EXPECT_THAT(Parse(gzip, IdxKind::kImages).status().message(), HasSubstr("incorrect data check"));
}

TEST(Idx, RefusesAnotherMagicNumber) {
  EXPECT_EQ(ErrorOf(SomeImages(), IdxKind::kLabels).message(),
            "starts with 0x00000803; an idx file of labels starts with 0x00000801");
  for (const uint32_t magic : {0x00000801u, 0x00000802u, 0x00000804u, 0x00000903u, 0x00000d03u,
                               0x03080000u, 0x01000803u, 0x00010803u}) {
    EXPECT_EQ(ErrorOf(MakeIdx(magic, {1, 1, 1}, "x"), IdxKind::kImages).code(), Code::kCorrupt);
  }
}

TEST(Idx, RefusesSizesOfZero) {
  for (const std::vector<uint32_t>& sizes :
       {std::vector<uint32_t>{0, 28, 28}, {2, 0, 28}, {2, 28, 0}, {kMost, kMost, 0}, {0, 0, 0}}) {
    const Status status = ErrorOf(MakeIdx(kIdxImages, sizes, ""), IdxKind::kImages);
    EXPECT_EQ(status.code(), Code::kCorrupt);
    EXPECT_THAT(status.message(), HasSubstr("a size is 0"));
  }
  EXPECT_EQ(ErrorOf(MakeIdx(kIdxLabels, {0}, ""), IdxKind::kLabels).message(), "a size is 0: 0");
}

TEST(Idx, RefusesSizesBeyondTheBound) {
  for (const std::vector<uint32_t>& sizes :
       {std::vector<uint32_t>{kMost, kMost, kMost}, {65536, 65536, 1}, {1, 1, 0x80000001}}) {
    const Status status = ErrorOf(MakeIdx(kIdxImages, sizes, "x"), IdxKind::kImages);
    EXPECT_EQ(status.code(), Code::kTooLarge) << status.message();
  }
  EXPECT_EQ(ErrorOf(MakeIdx(kIdxLabels, {kMost}, ""), IdxKind::kLabels).message(),
            "its sizes, 4294967295, are more than 2147483648 bytes");
  // The bound itself is allowed, but not there.
  EXPECT_EQ(ErrorOf(MakeIdx(kIdxLabels, {0x80000000}, "x"), IdxKind::kLabels).code(),
            Code::kCorrupt);
}

TEST(Idx, RefusesGzipThatCannotHoldItsSizes) {
  const std::string gzip = MakeGzip(MakeIdx(kIdxLabels, {0x80000000}, "x"));
  EXPECT_THAT(Parse(gzip, IdxKind::kLabels).status().message(),
              HasSubstr("need more bytes than " + std::to_string(gzip.size()) + " of gzip data"));
  const std::string bomb =
      MakeGzip(MakeIdx(kIdxImages, {2, 2, 3}, std::string(size_t{16} << 20, '\0')));
  EXPECT_THAT(Parse(bomb, IdxKind::kImages).status().message(), HasSubstr("hold more bytes"));
}

TEST(Idx, GoesByContentAndNamesTheFile) {
  const ScratchFolder folder;
  EXPECT_TRUE(ReadIdx(folder.Write("plain.gz", SomeImages()), IdxKind::kImages).ok());
  EXPECT_TRUE(ReadIdx(folder.Write("gzip", MakeGzip(SomeImages())), IdxKind::kImages).ok());
  EXPECT_EQ(ReadIdx(folder.At("plain.gz"), IdxKind::kLabels).status().message(),
            folder.At("plain.gz") +
                ": starts with 0x00000803; an idx file of labels starts with 0x00000801");
  const Status absent = ReadIdx(folder.At("none"), IdxKind::kImages).status();
  EXPECT_EQ(absent.code(), Code::kNotFound);
  EXPECT_THAT(absent.message(), HasSubstr(folder.At("none")));
  EXPECT_EQ(ReadIdx(folder.Write("empty", ""), IdxKind::kImages).status().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace octet
