// Contracts of io/cifar.h:
//  - the planes of a record become channels side by side, for any number of records;
//  - a part of a record, another label, no file and a file beyond the bound are refused with its
//  path.
#include "io/cifar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>

#include "io/scratch_folder.h"

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Channel c of the pixel in row y and column x.
uint8_t PixelAt(int record, int y, int x, int c) {
  return static_cast<uint8_t>(record * 101 + y * 7 + x * 3 + c * 50);
}

std::string Record(int record, char label) {
  std::string out(1, label);
  for (int c = 0; c < 3; ++c) {
    for (int y = 0; y < 32; ++y) {
      for (int x = 0; x < 32; ++x)
        out.push_back(static_cast<char>(PixelAt(record, y, x, c)));
    }
  }
  return out;
}

TEST(Cifar, PutsChannelsSideBySide) {
  const ScratchFolder folder;
  std::string file;
  for (int n = 1; n <= 3; ++n) {
    file += Record(n - 1, static_cast<char>(12 - 3 * n));
    const auto set = ReadCifar10(folder.Write("batch.bin", file));
    ASSERT_TRUE(set.ok()) << set.status().message();
    EXPECT_THAT((std::vector{set->count, set->rows, set->cols, set->channels}),
                ElementsAre(n, 32, 32, 3));
    ASSERT_EQ(set->labels.size(), static_cast<size_t>(n));
    EXPECT_EQ(set->labels.back(), 12 - 3 * n);
    ASSERT_EQ(set->pixels.size(), static_cast<size_t>(n * 3072));
    size_t at = 0;
    for (int record = 0; record < n; ++record) {
      for (int y = 0; y < 32; ++y) {
        for (int x = 0; x < 32; ++x) {
          for (int c = 0; c < 3; ++c) {
            ASSERT_EQ(set->pixels[at++], PixelAt(record, y, x, c)) << record << y << x << c;
          }
        }
      }
    }
  }
}

TEST(Cifar, RefusesPartsOfRecords) {
  const ScratchFolder folder;
  const std::string two = Record(0, 1) + Record(1, 2);
  for (const size_t size : {size_t{1}, size_t{3072}, size_t{3074}, size_t{6145}}) {
    const std::string path = folder.Write("batch.bin", two.substr(0, size));
    const Status status = ReadCifar10(path).status();
    EXPECT_EQ(status.code(), Code::kCorrupt);
    EXPECT_EQ(status.message(), path + ": " + std::to_string(size) +
                                    " bytes are no whole number of CIFAR-10's records of 3073");
  }
  EXPECT_EQ(ReadCifar10(folder.Write("empty", "")).status().code(), Code::kCorrupt);
}

TEST(Cifar, RefusesOtherLabels) {
  const ScratchFolder folder;
  const std::string path = folder.Write("batch.bin", Record(0, 9) + Record(1, 10));
  const Status status = ReadCifar10(path).status();
  EXPECT_EQ(status.code(), Code::kCorrupt);
  EXPECT_EQ(status.message(), path + ": the label of image 1 is 10, not 0 to 9");
  EXPECT_THAT(ReadCifar10(folder.Write("batch.bin", Record(0, '\xff'))).status().message(),
              HasSubstr("image 0 is 255"));
}

TEST(Cifar, RefusesNoFileAndTooLargeAFile) {
  const ScratchFolder folder;
  const Status absent = ReadCifar10(folder.At("none")).status();
  EXPECT_EQ(absent.code(), Code::kNotFound);
  EXPECT_THAT(absent.message(), HasSubstr(folder.At("none")));
  // A whole number of records, the least beyond the bound; the file has no blocks on the disk.
  const std::string path = folder.Write("large.bin", "");
  std::filesystem::resize_file(path, ((uint64_t{1} << 31) / 3073 + 1) * 3073);
  const Status large = ReadCifar10(path).status();
  EXPECT_EQ(large.code(), Code::kTooLarge);
  EXPECT_THAT(large.message(), HasSubstr(path));
}

// Not in the repository: 1000 test images. Values as od shows them.
TEST(Cifar, ReadsCifar10) {
  const char* data = std::getenv("OCTET_DATA");
  const std::filesystem::path file =
      std::filesystem::path(data ? data : "../shared/data") / "cifar10/test_1000.bin";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no " << file << "; set OCTET_DATA";
  const auto set = ReadCifar10(file.string());
  ASSERT_TRUE(set.ok()) << set.status().message();
  EXPECT_EQ(set->count, 1000);
  EXPECT_THAT(std::span(set->labels).first(10), ElementsAre(5, 7, 3, 8, 7, 5, 5, 0, 8, 8));
  EXPECT_THAT(std::span(set->pixels).first(9),
              ElementsAre(0xa4, 0x9a, 0x91, 0xa1, 0x97, 0x8e, 0x9a, 0x8c, 0x83));
}

}  // namespace
}  // namespace octet
