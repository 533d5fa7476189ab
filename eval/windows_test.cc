// Contracts of eval/windows.h:
// 1. stride == window: floor(n / window) windows that score window - 1 tokens each.
// 2. stride < window: every token up to the last window's end but the first is scored exactly once,
//    with at least window - stride tokens before it (the first window aside).
// 3. Nonsense and a text shorter than a window are refused, naming the text and both sizes.
//    DroppedTokens counts what lies after the last window.
// 4. ForEachWindow visits each window once for any number of threads, gives the first window's
//    error, and reports progress up to the end.
#include "eval/windows.h"

#include <gtest/gtest.h>

#include <rapidcheck/gtest.h>
#include <atomic>
#include <vector>

namespace octet {
namespace {

TEST(CutWindows, WithoutOverlapIsGptqsProtocol) {
  const auto windows = CutWindows(2048 * 3 + 2047, {}, "t");
  ASSERT_TRUE(windows.ok());
  ASSERT_EQ(windows->size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ((*windows)[i].begin, static_cast<int64_t>(i) * 2048);
    EXPECT_EQ((*windows)[i].length, 2048);
    EXPECT_EQ((*windows)[i].scored(), 2047);
  }
}

RC_GTEST_PROP(CutWindows, StridedScoresEveryTokenOnceWithEnoughContext, ()) {
  const int64_t window = *rc::gen::inRange<int64_t>(2, 50);
  const int64_t stride = *rc::gen::inRange<int64_t>(1, window);  // < window
  const int64_t tokens = *rc::gen::inRange<int64_t>(window, 400);
  const auto windows = CutWindows(tokens, {window, stride, 0, 1}, "t");
  RC_ASSERT(windows.ok());
  std::vector<int> scored(static_cast<size_t>(tokens), 0);
  for (const Window& w : *windows) {
    RC_ASSERT(w.begin + w.length <= tokens);
    for (int64_t p = w.first_scored; p + 1 < w.length; ++p) {
      ++scored[static_cast<size_t>(w.begin + p + 1)];
      if (w.begin > 0) RC_ASSERT(p + 1 >= window - stride);
    }
  }
  const int64_t end = windows->back().begin + window;
  RC_ASSERT(tokens - end < stride);  // nothing that fits is left out
  RC_ASSERT(scored[0] == 0);
  for (int64_t t = 1; t < tokens; ++t) {
    RC_ASSERT(scored[static_cast<size_t>(t)] == (t < end ? 1 : 0));
  }
}

TEST(DroppedTokens, AreThoseAfterTheLastWindow) {
  EXPECT_EQ(DroppedTokens(2048 * 3 + 2047, {}), 2047);
  EXPECT_EQ(DroppedTokens(2048 * 3, {}), 0);
  EXPECT_EQ(DroppedTokens(1000, {100, 100, 250, 1}), 50) << "what the limit excludes is no loss";
  const WindowOptions strided{100, 30, 0, 1};
  for (const int64_t tokens : {100, 101, 129, 130, 131, 500}) {
    const auto windows = CutWindows(tokens, strided, "t");
    ASSERT_TRUE(windows.ok());
    EXPECT_EQ(DroppedTokens(tokens, strided), tokens - windows->back().begin - 100) << tokens;
  }
}

TEST(CutWindows, LimitsTheText) {
  const auto windows = CutWindows(1000, {100, 100, 250, 1}, "t");
  ASSERT_TRUE(windows.ok());
  EXPECT_EQ(windows->size(), 2u);
}

TEST(CutWindows, RefusesATextShorterThanAWindow) {
  const auto windows = CutWindows(99, {100, 100, 0, 1}, "some/file.txt");
  ASSERT_FALSE(windows.ok());
  EXPECT_EQ(windows.status().code(), Code::kInvalidArgument);
  EXPECT_EQ(windows.status().message(),
            "some/file.txt: the text is shorter than a window: it has 99 tokens, a window needs "
            "100");
  EXPECT_FALSE(CutWindows(1000, {100, 100, 99, 1}, "t").ok()) << "max_tokens counts";
}

TEST(CutWindows, RefusesNonsense) {
  const WindowOptions nonsense[] = {{1, 1, 0, 1},     {0, 0, 0, 1},    {100, 0, 0, 1},
                                    {100, 101, 0, 1}, {100, -1, 0, 1}, {100, 100, -1, 1}};
  for (const WindowOptions& o : nonsense) {
    const auto windows = CutWindows(1000, o, "t");
    ASSERT_FALSE(windows.ok()) << o.window << " " << o.stride;
    EXPECT_EQ(windows.status().code(), Code::kInvalidArgument);
  }
}

TEST(ForEachWindow, VisitsEachOnceAndReportsProgress) {
  for (const int threads : {1, 2, 7}) {
    for (const int64_t count : {1, 5, 20}) {
      std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
      std::vector<int64_t> progress;
      const Status s = ForEachWindow(
          count, threads, "w",
          [&](std::string_view, int64_t done, int64_t total) {
            EXPECT_EQ(total, count);
            progress.push_back(done);
          },
          [&](int64_t i, const std::shared_ptr<ThreadPool>& pool) -> Status {
            EXPECT_EQ(pool->threads(), count < threads ? threads : 1);
            ++visits[static_cast<size_t>(i)];
            return {};
          });
      EXPECT_TRUE(s.ok());
      for (const auto& v : visits) {
        EXPECT_EQ(v, 1);
      }
      ASSERT_EQ(std::ssize(progress), count);
      for (int64_t i = 0; i < count; ++i) {
        EXPECT_EQ(progress[static_cast<size_t>(i)], i + 1);
      }
    }
  }
}

TEST(ForEachWindow, GivesTheFirstError) {
  for (const int threads : {1, 4, 20}) {
    const Status s = ForEachWindow(
        10, threads, "w", {}, [&](int64_t i, const std::shared_ptr<ThreadPool>&) -> Status {
          return i == 3 || i == 8 ? Internal("window " + std::to_string(i)) : Status();
        });
    EXPECT_EQ(s.message(), "window 3");
  }
}

}  // namespace
}  // namespace octet
