// Contracts of io/output_folder.h and io/file_writer.h:
//  - before Commit nothing is at the path, after it everything is, and no temporary remains;
//  - without Commit, or after a failure such as a full disk, nothing remains;
//  - a path in use is refused and left alone;
//  - Create removes temporaries of processes that ended, and only those.
#include "io/output_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/file_writer.h"
#include "io/scratch_folder.h"

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(OutputFolder, AppearsWholeOnCommit) {
  const ScratchFolder scratch;
  const std::string from = scratch.Write("from", "copied");
  {
    auto folder = OutputFolder::Create(scratch.At("out"));
    ASSERT_TRUE(folder.ok()) << folder.status().message();
    EXPECT_TRUE(folder->WriteFile("a", std::string_view("x\0y", 3)).ok());
    EXPECT_TRUE(folder->CopyFile(from, "b").ok());
    EXPECT_FALSE(std::filesystem::exists(scratch.At("out")));
    EXPECT_EQ(std::filesystem::path(folder->PathOf("a")).filename(), "a");
    OutputFolder moved = *std::move(folder);
    const Status committed = moved.Commit();
    ASSERT_TRUE(committed.ok()) << committed.message();
    EXPECT_EQ(moved.PathOf("a"), scratch.At("out/a"));
  }
  EXPECT_THAT(scratch.List(), ElementsAre("from", "out"));
  EXPECT_EQ(ReadBytes(scratch.At("out/a")), std::string("x\0y", 3));
  EXPECT_EQ(ReadBytes(scratch.At("out/b")), "copied");
}

TEST(OutputFolder, ReplacesAnEmptyFolderAndAcceptsATrailingSlash) {
  const ScratchFolder scratch;
  std::filesystem::create_directory(scratch.At("out"));
  auto folder = OutputFolder::Create(scratch.At("out/"));
  ASSERT_TRUE(folder.ok()) << folder.status().message();
  EXPECT_TRUE(folder->WriteFile("a", "x").ok());
  const Status committed = folder->Commit();
  ASSERT_TRUE(committed.ok()) << committed.message();
  EXPECT_EQ(ReadBytes(scratch.At("out/a")), "x");
}

TEST(OutputFolder, LeavesNothingWithoutCommit) {
  const ScratchFolder scratch;
  {
    auto folder = OutputFolder::Create(scratch.At("out"));
    ASSERT_TRUE(folder.ok());
    EXPECT_TRUE(folder->WriteFile("a", "x").ok());
    EXPECT_EQ(scratch.List().size(), 1u);
  }
  EXPECT_THAT(scratch.List(), IsEmpty());
}

TEST(OutputFolder, LeavesNothingOnAFullDisk) {
  const ScratchFolder scratch;
  const std::string from = scratch.Write("from", std::string(20000, 'a'));
  {
    const FullDisk full(4096);
    auto folder = OutputFolder::Create(scratch.At("out"));
    ASSERT_TRUE(folder.ok());
    const Status written = folder->WriteFile("a", std::string(20000, 'a'));
    EXPECT_EQ(written.code(), Code::kIo);
    EXPECT_THAT(written.message(), HasSubstr("File too large"));
    EXPECT_EQ(folder->CopyFile(from, "b").code(), Code::kIo);
    EXPECT_FALSE(std::filesystem::exists(folder->PathOf("a")));
  }
  EXPECT_THAT(scratch.List(), ElementsAre("from"));
}

TEST(OutputFolder, RefusesAPathInUse) {
  const ScratchFolder scratch;
  scratch.Write("file", "x");
  std::filesystem::create_directory(scratch.At("full"));
  scratch.Write("full/a", "x");
  std::filesystem::create_directory(scratch.At("empty"));
  std::filesystem::create_directory_symlink(scratch.At("empty"), scratch.At("link"));
  const auto code = [&](const std::string& path) {
    return OutputFolder::Create(path).status().code();
  };
  EXPECT_EQ(code(scratch.At("file")), Code::kInvalidArgument);
  EXPECT_EQ(code(scratch.At("full")), Code::kInvalidArgument);
  EXPECT_EQ(code(scratch.At("link")), Code::kInvalidArgument);
  EXPECT_EQ(code(""), Code::kInvalidArgument);
  EXPECT_EQ(code(scratch.At("none/out")), Code::kInvalidArgument);
  EXPECT_THAT(OutputFolder::Create(scratch.At("none/out")).status().message(),
              HasSubstr("none does not exist"));
  EXPECT_THAT(scratch.List(), ElementsAre("empty", "file", "full", "link"));
}

TEST(OutputFolder, RemovesWhatACrashLeftAndNothingElse) {
  const ScratchFolder scratch;
  const pid_t ended = fork();
  if (ended == 0) _exit(0);
  waitpid(ended, nullptr, 0);
  const std::string left = fmt::format(".out.partial-{}-0", ended);
  const std::vector<std::string> kept = {
      fmt::format(".out.partial-{}-0", getppid()), ".out.partial-1x-0",
      ".out.partial-" + std::to_string(ended), fmt::format(".other.partial-{}-0", ended)};
  std::filesystem::create_directory(scratch.At(left));
  scratch.Write(left + "/a", "x");
  for (const std::string& name : kept) {
    std::filesystem::create_directory(scratch.At(name));
  }
  EXPECT_TRUE(OutputFolder::Create(scratch.At("out")).ok());
  EXPECT_THAT(scratch.List(), testing::UnorderedElementsAreArray(kept));
}

TEST(OutputFolder, SomebodyElsesFolderIsNotOverwrittenByCommit) {
  const ScratchFolder scratch;
  {
    auto folder = OutputFolder::Create(scratch.At("out"));
    ASSERT_TRUE(folder.ok());
    EXPECT_TRUE(folder->WriteFile("a", "mine").ok());
    std::filesystem::create_directory(scratch.At("out"));
    scratch.Write("out/a", "theirs");
    EXPECT_EQ(folder->Commit().code(), Code::kIo);
  }
  EXPECT_THAT(scratch.List(), ElementsAre("out"));
  EXPECT_EQ(ReadBytes(scratch.At("out/a")), "theirs");
}

TEST(OutputFolder, RefusesNamesOutsideAndAbsentSources) {
  const ScratchFolder scratch;
  auto folder = OutputFolder::Create(scratch.At("out"));
  ASSERT_TRUE(folder.ok());
  for (const char* name : {"", ".", "..", "../a", "/a", "b/a"}) {
    EXPECT_EQ(folder->WriteFile(name, "x").code(), Code::kInvalidArgument) << name;
    EXPECT_EQ(folder->CopyFile(scratch.At("x"), name).code(), Code::kInvalidArgument) << name;
  }
  EXPECT_EQ(folder->CopyFile(scratch.At("none"), "a").code(), Code::kNotFound);
  EXPECT_EQ(folder->CopyFile(scratch.path(), "a").code(), Code::kIo);
}

TEST(FileWriter, ReplacesOnCommitOnly) {
  const ScratchFolder scratch;
  const std::string path = scratch.Write("f", "old");
  {
    auto writer = FileWriter::Create(path);
    ASSERT_TRUE(writer.ok());
    EXPECT_TRUE(writer->Write(std::as_bytes(std::span("new", 3))).ok());
  }
  EXPECT_EQ(ReadBytes(path), "old");
  EXPECT_THAT(scratch.List(), ElementsAre("f"));
  auto writer = FileWriter::Create(path);
  ASSERT_TRUE(writer.ok());
  EXPECT_TRUE(writer->Write(std::as_bytes(std::span("new", 3))).ok());
  EXPECT_TRUE(writer->Commit().ok());
  EXPECT_EQ(ReadBytes(path), "new");
  EXPECT_THAT(scratch.List(), ElementsAre("f"));
  for (const char* folder : {"none", "f"}) {
    const std::string parent = scratch.At(folder);
    const Status orphan = FileWriter::Create(parent + "/x").status();
    EXPECT_EQ(orphan.code(), Code::kInvalidArgument);
    EXPECT_EQ(orphan.message(), parent + "/x: the parent folder " + parent + " does not exist");
  }
}

}  // namespace
}  // namespace octet
