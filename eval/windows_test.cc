// Contracts of eval/windows.h:
// 1. stride == window: floor(n / window) windows that score window - 1 tokens each.
// 2. stride < window: every token up to the last window's end but the first is scored exactly once,
//    with at least window - stride tokens before it (the first window aside).
// 3. CutAllWindows cuts and scores as the loop of Hugging Face's guide, written out here;
//    CutRollingWindows as the windows of lm-eval that its documentation shows.
// 4. Nonsense and a text shorter than a window are refused, naming the text and both sizes.
//    DroppedTokens counts what lies after the last window.
// 5. ForEachWindow visits each window once for any number of threads, gives the first window's
//    error, and reports progress up to the end.
#include "eval/windows.h"

#include <gtest/gtest.h>

#include <rapidcheck/gtest.h>
#include <algorithm>
#include <atomic>
#include <ostream>
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

// Tokens that each window is fed, and those that it scores.
struct Span {
  int64_t begin, end, first, last;
  bool operator==(const Span&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const Span& s) {
    return out << s.begin << "-" << s.end << " scores " << s.first << "-" << s.last;
  }
};

std::vector<Span> SpansOf(const std::vector<Window>& windows) {
  std::vector<Span> spans;
  for (const Window& w : windows) {
    spans.push_back(
        {w.begin, w.begin + w.length, w.begin + w.first_scored + 1, w.begin + w.end_scored + 1});
  }
  return spans;
}

RC_GTEST_PROP(CutAllWindows, FollowsTheGuide, ()) {
  const int64_t window = *rc::gen::inRange<int64_t>(2, 40);
  const int64_t stride = *rc::gen::inRange<int64_t>(1, window + 1);
  const int64_t tokens = *rc::gen::inRange<int64_t>(2, 200);
  std::vector<Span> want;
  int64_t previous = 0;
  for (int64_t begin = 0; begin < tokens; begin += stride) {
    const int64_t end = std::min(begin + window, tokens);
    const int64_t targets = end - previous;
    // Labels are the last `targets` tokens, but there is none for the first token of a window.
    want.push_back({begin, end, std::max(begin + 1, end - targets), end});
    previous = end;
    if (end == tokens) break;
  }
  const auto windows = CutAllWindows(tokens, {window, stride, 0, 1}, "t");
  RC_ASSERT(windows.ok());
  RC_ASSERT(SpansOf(*windows) == want);
}

TEST(CutAllWindows, TakesShortTextsAndRefusesOneToken) {
  EXPECT_EQ(SpansOf(*CutAllWindows(5, {1024, 512, 0, 1}, "t")), (std::vector<Span>{{0, 5, 1, 5}}));
  EXPECT_EQ(SpansOf(*CutAllWindows(9, {8, 4, 5, 1}, "t")), (std::vector<Span>{{0, 5, 1, 5}}));
  EXPECT_EQ(CutAllWindows(1, {}, "a.txt").status().message(),
            "a.txt: a text of one token has nothing to predict");
  EXPECT_FALSE(CutAllWindows(10, {4, 5, 0, 1}, "t").ok());
}

TEST(CutRollingWindows, AreLmEvals) {
  // The example of its tests: 10 tokens in windows of 4, here after the prefix at 100.
  EXPECT_EQ(SpansOf(CutRollingWindows(100, 10, 4)),
            (std::vector<Span>{{100, 104, 101, 105}, {104, 108, 105, 109}, {106, 110, 109, 111}}));
  EXPECT_EQ(SpansOf(CutRollingWindows(0, 8, 4)), (std::vector<Span>{{0, 4, 1, 5}, {4, 8, 5, 9}}));
  EXPECT_EQ(SpansOf(CutRollingWindows(7, 3, 4)), (std::vector<Span>{{7, 10, 8, 11}}));
  EXPECT_TRUE(CutRollingWindows(0, 0, 4).empty());
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
