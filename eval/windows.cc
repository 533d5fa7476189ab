#include "eval/windows.h"

#include <algorithm>
#include <mutex>

#include <fmt/format.h>

namespace octet {

Result<std::vector<Window>> CutWindows(int64_t tokens, const WindowOptions& options,
                                       std::string_view name) {
  const int64_t W = options.window;
  if (W < 2) return InvalidArgument("a window needs at least 2 tokens");
  if (options.stride < 1 || options.stride > W) {
    return InvalidArgument(
        fmt::format("the stride must be between 1 and the window of {} tokens", W));
  }
  if (options.max_tokens < 0) return InvalidArgument("the token limit must not be negative");
  if (options.max_tokens > 0) tokens = std::min(tokens, options.max_tokens);
  if (tokens < W) {
    return InvalidArgument(
        fmt::format("{}: the text is shorter than a window: it has {} tokens, a window needs {}",
                    name, tokens, W));
  }
  std::vector<Window> windows;
  for (int64_t begin = 0; begin + W <= tokens; begin += options.stride) {
    const int64_t first = begin == 0 ? 0 : std::max<int64_t>(0, W - 1 - options.stride);
    windows.push_back({begin, W, first});
  }
  return windows;
}

int64_t DroppedTokens(int64_t tokens, const WindowOptions& options) {
  if (options.max_tokens > 0) tokens = std::min(tokens, options.max_tokens);
  return (tokens - options.window) % options.stride;
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
