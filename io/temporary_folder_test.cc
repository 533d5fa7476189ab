// Contracts of io/temporary_folder.h:
//  - a temporary folder goes with its owner, whatever lies in it, unless renamed or kept;
//  - EndBySignal removes all of them, also while another thread fills one, and then ends the
//  process
//    by that signal.
#include "io/temporary_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "io/scratch_folder.h"

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TemporaryFolder Make(const std::string& stem) {
  Result<TemporaryFolder> folder = TemporaryFolder::Create(stem);
  EXPECT_TRUE(folder.ok()) << folder.status().message();
  std::ofstream(folder->path() + "/file") << "x";
  return *std::move(folder);
}

TEST(TemporaryFolder, GoesWithItsOwner) {
  const ScratchFolder scratch;
  {
    const TemporaryFolder a = Make(scratch.At("t")), b = Make(scratch.At("t"));
    EXPECT_THAT(scratch.List(), ElementsAre("t-0", "t-1"));
  }
  EXPECT_THAT(scratch.List(), IsEmpty());
}

TEST(TemporaryFolder, StaysWhenRenamedOrKept) {
  const ScratchFolder scratch;
  {
    TemporaryFolder a = Make(scratch.At("t")), b = Make(scratch.At("t")), c = Make(scratch.At("t"));
    EXPECT_TRUE(a.RenameTo(scratch.At("renamed")).ok());
    b.Keep();
    EXPECT_EQ(a.path() + b.path(), "");
    EXPECT_EQ(c.RenameTo(scratch.At("none/x")).code(), Code::kIo);
  }
  EXPECT_THAT(scratch.List(), ElementsAre("renamed", "t-1"));
}

TEST(TemporaryFolder, TakesOverOnlyEmptyFolders) {
  const ScratchFolder scratch;
  std::filesystem::create_directory(scratch.At("empty"));
  for (const char* name : {"empty", "new"}) {
    const auto folder = TemporaryFolder::CreateAt(scratch.At(name));
    ASSERT_TRUE(folder.ok()) << folder.status().message();
    EXPECT_EQ(folder->path(), scratch.At(name));
    std::ofstream(folder->path() + "/inside") << "x";
  }
  EXPECT_THAT(scratch.List(), ElementsAre("empty"));
  EXPECT_TRUE(std::filesystem::is_empty(scratch.At("empty")));
  EXPECT_TRUE(TemporaryFolder::Adopt(scratch.At("empty")).ok());
  EXPECT_THAT(scratch.List(), IsEmpty());
  const auto first = TemporaryFolder::CreateAt(scratch.At("shared"));
  EXPECT_TRUE(first.ok());
  EXPECT_THAT(TemporaryFolder::Adopt(scratch.At("shared")).status().message(), HasSubstr("in use"));
  scratch.Write("nothing", "");
  EXPECT_EQ(TemporaryFolder::CreateAt(scratch.At("nothing")).status().code(), Code::kIo);
  EXPECT_EQ(TemporaryFolder::Adopt(scratch.At("nothing")).status().code(), Code::kIo);
  EXPECT_THAT(scratch.List(), ElementsAre("nothing", "shared"));
  std::filesystem::remove(scratch.At("nothing"));
  scratch.Write("file", "x");
  const std::string above = std::filesystem::path(scratch.At("file")).parent_path().string();
  for (const std::string& used : {above, scratch.At("file"), scratch.At("none/x")}) {
    EXPECT_EQ(TemporaryFolder::CreateAt(used).status().code(), Code::kIo) << used;
    EXPECT_EQ(TemporaryFolder::Adopt(used).status().code(), Code::kIo) << used;
  }
  EXPECT_THAT(TemporaryFolder::Create(scratch.At("none/x")).status().message(),
              HasSubstr("none/x: No such"));
  EXPECT_THAT(scratch.List(), ElementsAre("file", "shared"));
}

// Until the process ends: files keep appearing while the folder is removed.
[[noreturn]] void FillUntilTheEnd(const std::string& stem) {
  TemporaryFolder other = Make(stem), folder = Make(stem);
  std::thread([] { EndBySignal(SIGTERM); }).detach();
  for (int i = 0;; ++i) {
    std::ofstream(folder.path() + "/" + std::to_string(i)) << "x";
  }
}

TEST(TemporaryFolderDeathTest, EndBySignalRemovesAll) {
  const ScratchFolder scratch;
  EXPECT_EXIT(FillUntilTheEnd(scratch.At("t")), testing::KilledBySignal(SIGTERM), "");
  EXPECT_THAT(scratch.List(), IsEmpty());
}

}  // namespace
}  // namespace octet
