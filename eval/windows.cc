#include "eval/windows.h"

#include <algorithm>
#include <mutex>

#include <fmt/format.h>

namespace octet {

namespace {

Status Check(const WindowOptions& options) {
  const int64_t W = options.window;
  if (W < 2) return InvalidArgument("a window needs at least 2 tokens");
  if (options.stride < 1 || options.stride > W) {
    return InvalidArgument(
        fmt::format("the stride must be between 1 and the window of {} tokens", W));
  }
  if (options.max_tokens < 0) return InvalidArgument("the token limit must not be negative");
  return {};
}

int64_t Admitted(int64_t tokens, const WindowOptions& options) {
  return options.max_tokens > 0 ? std::min(tokens, options.max_tokens) : tokens;
}

}  // namespace

Result<std::vector<Window>> CutWindows(int64_t tokens, const WindowOptions& options,
                                       std::string_view name) {
  OCTET_TRY(Check(options));
  const int64_t W = options.window;
  tokens = Admitted(tokens, options);
  if (tokens < W) {
    return InvalidArgument(
        fmt::format("{}: the text is shorter than a window: it has {} tokens, a window needs {}",
                    name, tokens, W));
  }
  std::vector<Window> windows;
  for (int64_t begin = 0; begin + W <= tokens; begin += options.stride) {
    const int64_t first = begin == 0 ? 0 : std::max<int64_t>(0, W - 1 - options.stride);
    windows.push_back({begin, W, first, W - 1});
  }
  return windows;
}

int64_t DroppedTokens(int64_t tokens, const WindowOptions& options) {
  return (Admitted(tokens, options) - options.window) % options.stride;
}

Result<std::vector<Window>> CutAllWindows(int64_t tokens, const WindowOptions& options,
                                          std::string_view name) {
  OCTET_TRY(Check(options));
  tokens = Admitted(tokens, options);
  if (tokens < 2) {
    return InvalidArgument(fmt::format("{}: a text of one token has nothing to predict", name));
  }
  std::vector<Window> windows;
  int64_t covered = 0;
  for (int64_t begin = 0; covered < tokens; begin += options.stride) {
    const int64_t length = std::min(options.window, tokens - begin);
    windows.push_back({begin, length, std::max<int64_t>(0, covered - begin - 1), length - 1});
    covered = begin + length;
  }
  return windows;
}

std::vector<Window> CutRollingWindows(int64_t begin, int64_t tokens, int64_t window) {
  std::vector<Window> windows;
  for (int64_t scored = 0; scored < tokens;) {
    const int64_t end = std::min(tokens, scored + window);
    const int64_t first = std::max<int64_t>(0, end - window);
    windows.push_back({begin + first, end - first, scored - first, end - first});
    scored = end;
  }
  return windows;
}

Status ForEachWindow(int64_t count, int threads, std::string_view what, const Progress& progress,
                     const WindowBody& body) {
  std::vector<Status> statuses(static_cast<size_t>(count));
  std::mutex mutex;
  int64_t done = 0;
  const auto run = [&](int64_t i, const std::shared_ptr<ThreadPool>& pool) {
    statuses[static_cast<size_t>(i)] = body(i, pool);
    const std::lock_guard lock(mutex);
    ++done;
    if (progress) progress(what, done, count);
  };
  if (count < threads) {
    const auto pool = std::make_shared<ThreadPool>(threads);
    for (int64_t i = 0; i < count; ++i) {
      run(i, pool);
    }
  } else {
    ThreadPool outer(threads);
    outer.For(count, [&](int64_t i, int) { run(i, std::make_shared<ThreadPool>(1)); });
  }
  for (const Status& s : statuses) {
    OCTET_TRY(s);
  }
  return {};
}

}  // namespace octet
