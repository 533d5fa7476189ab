// Contracts of apps/cli/term.h, class ProgressBar, where standard error is no terminal:
// 1. What takes less than about two seconds shows nothing; the rest a line soon, then one now and
//    then.
// 2. The time that is left follows from what this run did: another phrase, or the same one from its
//    beginning, starts again, and what was done before the start does not count.
#include <string>

#include <gtest/gtest.h>

#include "apps/cli/term.h"

namespace octet::cli {
namespace {

class ProgressBarTest : public testing::Test {
 protected:
  // What the bar writes at that second.
  std::string At(double seconds, const std::string& what, int64_t done, int64_t total = 100) {
    now_ = seconds;
    testing::internal::CaptureStderr();
    bar_.Update(what, done, total);
    return testing::internal::GetCapturedStderr();
  }

  double now_ = 0;
  ProgressBar bar_ = ProgressBar([this] { return now_; });
};

TEST_F(ProgressBarTest, ShortWorkShowsNothing) {
  EXPECT_EQ(At(100, "a", 0), "");
  EXPECT_EQ(At(100.4, "a", 10), "");
  EXPECT_EQ(At(101.4, "a", 90), "");
  EXPECT_EQ(At(101.6, "a", 100), "");
}

TEST_F(ProgressBarTest, LongWorkShowsALineNowAndThen) {
  EXPECT_EQ(At(0, "a", 0), "");
  EXPECT_EQ(At(1, "a", 1), "a: 1 %, 2 min left\n");
  EXPECT_EQ(At(5, "a", 5), "");
  EXPECT_EQ(At(12, "a", 12), "a: 12 %, 88 s left\n");
  EXPECT_EQ(At(100, "a", 100), "");
}

TEST_F(ProgressBarTest, EachPieceOfWorkHasItsOwnTime) {
  At(0, "a", 0);
  At(100, "a", 100);
  EXPECT_EQ(At(101, "a", 10), "");
  EXPECT_EQ(At(104, "a", 40), "a: 40 %, 6 s left\n") << "the same phrase from its beginning";
  EXPECT_EQ(At(105, "b", 50), "");
  EXPECT_EQ(At(110, "b", 60), "b: 60 %, 20 s left\n") << "50 % were done before";
}

}  // namespace
}  // namespace octet::cli
