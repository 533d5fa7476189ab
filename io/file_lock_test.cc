// Contracts: one holder at a time, in this process and in others; the file is there while it is
// held, and a file that was left locks nothing; what cannot be made is an error that names it.
#include "io/file_lock.h"

#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include <gmock/gmock.h>

#include "io/scratch_folder.h"

namespace octet {
namespace {

using testing::HasSubstr;

// Whether another process gets it.
bool OtherProcessTakes(const std::string& path) {
  const pid_t child = fork();
  if (child == 0) _exit(FileLock::Take(path).ok() ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(FileLock, HasOneHolder) {
  const ScratchFolder folder;
  const std::string path = folder.At("lock");
  {
    const Result<FileLock> lock = FileLock::Take(path);
    ASSERT_TRUE(lock.ok()) << lock.status().message();
    EXPECT_EQ(folder.List(), std::vector<std::string>{"lock"});
    const Status second = FileLock::Take(path).status();
    EXPECT_EQ(second.code(), Code::kInvalidArgument);
    EXPECT_THAT(second.message(), HasSubstr(path + ": another run"));
    EXPECT_FALSE(OtherProcessTakes(path));
  }
  EXPECT_TRUE(folder.List().empty());
  EXPECT_TRUE(OtherProcessTakes(path));
  EXPECT_TRUE(FileLock::Take(path).ok());
}

TEST(FileLock, WhatWasLeftLocksNothing) {
  const ScratchFolder folder;
  EXPECT_TRUE(FileLock::Take(folder.Write("lock", "")).ok());
  EXPECT_TRUE(folder.List().empty());
}

TEST(FileLock, SaysWhatItCannotMake) {
  const ScratchFolder folder;
  const Status s = FileLock::Take(folder.At("none/lock")).status();
  EXPECT_EQ(s.code(), Code::kIo);
  EXPECT_THAT(s.message(), HasSubstr("none/lock"));
}

}  // namespace
}  // namespace octet
