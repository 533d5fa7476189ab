// Contracts of base/file.h:
//  - Every byte of a file of at most the limit, which is inclusive; one byte more is kTooLarge.
//  - What is absent is kNotFound; folders, devices and pipes are kInvalidArgument, at once, also a
//    pipe that nobody writes to. What the system refuses is kIo. Errors start with the path.
#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace octet {
namespace {

class FileTest : public testing::Test {
 protected:
  FileTest() { std::filesystem::create_directories(folder_); }
  ~FileTest() override { std::filesystem::remove_all(folder_); }
  std::string Write(const std::string& bytes) const {
    std::ofstream(folder_ + "/f", std::ios::binary) << bytes;
    return folder_ + "/f";
  }
  static void ExpectError(const std::string& path, Code code, const std::string& reason) {
    const Status s = ReadWholeFile(path, 100).status();
    EXPECT_EQ(s.code(), code) << s.message();
    EXPECT_EQ(s.message(), path + ": " + reason);
  }
  std::string folder_ = testing::TempDir() + "file_test_" + std::to_string(getpid());
};

TEST_F(FileTest, ReadsEveryByteUpToTheLimit) {
  std::string bytes = "\n\r\xff";
  for (int i = 0; i < 100000; ++i) {
    bytes.push_back(static_cast<char>(i % 251));
  }
  const std::string path = Write(bytes);
  const auto size = static_cast<int64_t>(bytes.size());
  const Result<std::string> text = ReadWholeFile(path, size);
  ASSERT_TRUE(text.ok()) << text.status().message();
  EXPECT_TRUE(*text == bytes);
  const Status s = ReadWholeFile(path, size - 1).status();
  EXPECT_EQ(s.code(), Code::kTooLarge);
  EXPECT_EQ(s.message(), path + ": " + std::to_string(size) + " bytes, more than the limit of " +
                             std::to_string(size - 1));
  EXPECT_EQ(*ReadWholeFile(Write(""), 0), "");
}

TEST_F(FileTest, RefusesWhatIsAbsent) {
  ExpectError(folder_ + "/none", Code::kNotFound, std::strerror(ENOENT));
  ExpectError(Write("x") + "/below", Code::kNotFound, std::strerror(ENOTDIR));
}

TEST_F(FileTest, RefusesWhatIsNoRegularFile) {
  const std::string pipe = folder_ + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  alarm(10);  // ends the test when opening the pipe waits
  for (const std::string& path : {pipe, folder_, std::string("/dev/zero")}) {
    ExpectError(path, Code::kInvalidArgument, "not a regular file");
  }
  alarm(0);
}

TEST_F(FileTest, SaysWhyTheSystemRefused) {
  ExpectError(folder_ + "/" + std::string(300, 'n'), Code::kIo, std::strerror(ENAMETOOLONG));
}

}  // namespace
}  // namespace octet
