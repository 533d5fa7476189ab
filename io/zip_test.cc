// Contracts of io/zip.h:
//  - the entries of zip and zip64 archives, with and without a comment, are found in order;
//  - every truncation and every lying size, offset or count is refused, never read out of bounds;
//  - compressed, encrypted, overlapping and equally named entries are refused.
#include "io/zip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "io/make_zip.h"

namespace octet {
namespace {

using testing::HasSubstr;

using Files = std::vector<std::pair<std::string, std::string>>;

Result<std::vector<ZipEntry>> Read(const std::string& zip) {
  return ReadZip(std::as_bytes(std::span(zip)));
}

const Files& SomeFiles() {
  static const Files files = {
      {"t/data.pkl", "pickle"}, {"t/data/0", std::string(100, 'x')}, {"t/e", ""}};
  return files;
}

// `zip` with the little-endian value at `at` replaced.
template <class T>
std::string With(std::string zip, size_t at, T v) {
  std::memcpy(zip.data() + at, &v, sizeof v);
  return zip;
}

TEST(Zip, FindsTheEntries) {
  for (const bool zip64 : {false, true}) {
    for (const std::string& comment :
         {std::string(), std::string("PK\5\6 a comment"), std::string(65535, 'c')}) {
      ZipOptions options;
      options.zip64 = zip64;
      options.comment = comment;
      const std::string zip = MakeZip(SomeFiles(), options);
      const auto entries = Read(zip);
      ASSERT_TRUE(entries.ok()) << entries.status().message();
      ASSERT_EQ(entries->size(), 3u);
      for (size_t i = 0; i < 3; ++i) {
        const ZipEntry& e = (*entries)[i];
        EXPECT_EQ(e.name, SomeFiles()[i].first);
        EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(e.data.data()), e.data.size()),
                  SomeFiles()[i].second);
      }
    }
  }
  EXPECT_TRUE(Read(MakeZip({})).ok());
}

TEST(Zip, RefusesEveryTruncation) {
  for (const bool zip64 : {false, true}) {
    ZipOptions options;
    options.zip64 = zip64;
    const std::string zip = MakeZip(SomeFiles(), options);
    for (size_t n = 0; n < zip.size(); ++n) {
      EXPECT_EQ(Read(zip.substr(0, n)).status().code(), Code::kCorrupt) << n;
      EXPECT_FALSE(Read(zip.substr(n + 1)).ok()) << n;
    }
  }
}

TEST(Zip, RefusesCompressedAndEncryptedEntries) {
  ZipOptions options;
  options.method = 8;
  EXPECT_EQ(Read(MakeZip(SomeFiles(), options)).status().code(), Code::kUnsupported);
  EXPECT_THAT(Read(MakeZip(SomeFiles(), options)).status().message(),
              HasSubstr("entry t/data.pkl: compressed (method 8)"));
  options.method = 0;
  options.flags = 1;
  EXPECT_THAT(Read(MakeZip(SomeFiles(), options)).status().message(), HasSubstr("encrypted"));
}

TEST(Zip, RefusesOneNameTwiceAndNoName) {
  EXPECT_THAT(Read(MakeZip({{"a", "1"}, {"a", "2"}})).status().message(),
              HasSubstr("two entries are named a"));
  EXPECT_THAT(Read(MakeZip({{"", "1"}})).status().message(), HasSubstr("no name"));
}

TEST(Zip, RefusesLyingRecords) {
  const Files files = {{"a", "12345678"}, {"b", "12345678"}};
  const std::string zip = MakeZip(files);
  const size_t local = 30 + 1 + 3 + 8, directory = 2 * local, central = 47;
  const size_t end = directory + 2 * central;
  ASSERT_EQ(zip.size(), end + 22);
  const auto error = [](const std::string& z) { return Read(z).status().message(); };
  // A stored size that differs from the size; both too large; the zip64 escape without its field.
  EXPECT_THAT(error(With<uint32_t>(zip, directory + 20, 7)), HasSubstr("7 bytes stored for 8"));
  const std::string large =
      With<uint32_t>(With<uint32_t>(zip, directory + 20, 1000), directory + 24, 1000);
  EXPECT_THAT(error(large), HasSubstr("reach beyond"));
  EXPECT_THAT(error(With<uint32_t>(zip, directory + 20, 0xffffffff)),
              HasSubstr("zip64 extra field is missing"));
  // A local header's name or extra field that pushes the data out.
  EXPECT_THAT(error(With<uint16_t>(zip, 26, 65535)), HasSubstr("reach beyond"));
  EXPECT_THAT(error(With<uint16_t>(zip, local + 28, 65535)), HasSubstr("reach beyond"));
  // Offsets of an entry.
  EXPECT_THAT(error(With<uint32_t>(zip, directory + 42, 1)), HasSubstr("no local header at 1"));
  EXPECT_THAT(error(With<uint32_t>(zip, directory + 42, 0xfffffffe)), HasSubstr("no local header"));
  EXPECT_THAT(error(With<uint32_t>(zip, directory + central + 42, 0)), HasSubstr("share bytes"));
  // Central records.
  EXPECT_THAT(error(With<uint16_t>(zip, directory + 28, 65535)), HasSubstr("cut short"));
  EXPECT_THAT(error(With<uint16_t>(zip, directory + central + 32, 1)), HasSubstr("cut short"));
  EXPECT_THAT(error(With<uint32_t>(zip, directory, 0)), HasSubstr("malformed"));
  // The end record: count, size, offset, disk.
  EXPECT_THAT(error(With<uint16_t>(zip, end + 10, 3)), HasSubstr("malformed"));
  EXPECT_THAT(error(With<uint16_t>(zip, end + 10, 1)), HasSubstr("more entries"));
  EXPECT_THAT(error(With<uint32_t>(zip, end + 12, 1000)), HasSubstr("outside"));
  EXPECT_THAT(error(With<uint32_t>(zip, end + 16, 0xfffffff0)), HasSubstr("outside"));
  EXPECT_THAT(error(With<uint16_t>(zip, end + 4, 1)), HasSubstr("split"));
  EXPECT_THAT(error(With<uint16_t>(zip, end + 10, 0xffff)), HasSubstr("zip64 locator is missing"));
}

TEST(Zip, RefusesLyingZip64Records) {
  ZipOptions options;
  options.zip64 = true;
  const std::string zip = MakeZip({{"a", "12345678"}}, options);
  const size_t end = zip.size() - 22, locator = end - 20, end64 = locator - 56;
  const size_t extra = end64 - 28;  // id, length, size, stored, offset
  const auto error = [](const std::string& z) { return Read(z).status().message(); };
  const uint64_t huge = ~uint64_t{0};
  EXPECT_THAT(error(With<uint64_t>(zip, locator + 8, huge)),
              HasSubstr("zip64 end record is missing"));
  EXPECT_THAT(error(With<uint64_t>(zip, locator + 8, huge - 20)), HasSubstr("zip64 end record"));
  EXPECT_THAT(error(With<uint64_t>(zip, end64 + 32, huge)), HasSubstr("malformed"));
  EXPECT_THAT(error(With<uint64_t>(zip, end64 + 40, huge)), HasSubstr("outside"));
  EXPECT_THAT(error(With<uint64_t>(zip, end64 + 48, huge)), HasSubstr("outside"));
  EXPECT_THAT(error(With<uint32_t>(zip, end64 + 16, 1)), HasSubstr("split"));
  EXPECT_THAT(error(With<uint16_t>(zip, extra + 2, 16)),
              HasSubstr("zip64 extra field is cut short"));
  EXPECT_THAT(error(With<uint16_t>(zip, extra + 2, 25)), HasSubstr("extra field is cut short"));
  EXPECT_THAT(error(With<uint64_t>(With<uint64_t>(zip, extra + 4, huge), extra + 12, huge)),
              HasSubstr("reach beyond"));
  EXPECT_THAT(error(With<uint64_t>(zip, extra + 20, huge)), HasSubstr("no local header"));
}

}  // namespace
}  // namespace octet
