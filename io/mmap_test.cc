// Contracts of io/mmap.h:
//  - the bytes are the file's, and stay readable after the file is unlinked;
//  - an absent, empty or special file is refused with its path and the stated code.
#include "io/mmap.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "io/scratch_folder.h"

namespace octet {
namespace {

TEST(FileMapping, HoldsTheBytesBeyondTheFile) {
  const ScratchFolder folder;
  const std::string bytes = std::string(5000, 'a') + '\0' + "b";
  const std::string path = folder.Write("f", bytes);
  const auto mapping = FileMapping::Open(path);
  ASSERT_TRUE(mapping.ok()) << mapping.status().message();
  unlink(path.c_str());
  const auto mapped = (*mapping)->bytes();
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(mapped.data()), mapped.size()), bytes);
}

TEST(FileMapping, RefusesWhatIsNoFile) {
  const ScratchFolder folder;
  const auto error = [](const std::string& path) { return FileMapping::Open(path).status(); };
  EXPECT_EQ(error(folder.At("none")).code(), Code::kNotFound);
  EXPECT_TRUE(error(folder.At("none")).message().starts_with(folder.At("none") + ": "));
  EXPECT_EQ(error(folder.path()).code(), Code::kCorrupt);
  EXPECT_EQ(error(folder.path()).message(), folder.path() + ": is a folder, not a file");
  EXPECT_EQ(error(folder.Write("empty", "")).code(), Code::kCorrupt);
  EXPECT_EQ(error("/dev/null").code(), Code::kCorrupt);
  ASSERT_EQ(mkfifo(folder.At("pipe").c_str(), 0600), 0);
  EXPECT_EQ(error(folder.At("pipe")).code(), Code::kCorrupt);
}

}  // namespace
}  // namespace octet
