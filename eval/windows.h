// How a long text is cut into windows, and running all of them on several threads.
#ifndef OCTET_EVAL_WINDOWS_H_
#define OCTET_EVAL_WINDOWS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/parallel.h"
#include "base/status.h"
#include "eval/progress.h"

namespace octet {

struct WindowOptions {
  int64_t window = 2048;   // tokens that a fresh state sees, >= 2
  int64_t stride = 2048;   // tokens from one window to the next, 1 .. window
  int64_t max_tokens = 0;  // use only that many tokens of the text; 0: all
  int threads = 1;         // results do not depend on it
};

// Tokens [begin, begin + length) of the text, starting from an empty state. Position p of the
// window predicts token begin + p + 1; positions first_scored .. length - 2 count.
struct Window {
  int64_t begin = 0;
  int64_t length = 0;
  int64_t first_scored = 0;
  int64_t scored() const { return length - 1 - first_scored; }
};

// Windows of a text of `tokens` tokens; what is left at the end and fills no window is dropped.
// stride == window is GPTQ's protocol: every window scores all it predicts. With a smaller stride,
// each token is scored once, with at least window - stride tokens before it: the first window
// scores all it predicts, a later one its last `stride` tokens.
// kInvalidArgument for nonsensical options or when the text is shorter than a window, naming
// `name`, where the text comes from.
Result<std::vector<Window>> CutWindows(int64_t tokens, const WindowOptions& options,
                                       std::string_view name);
// How many of the tokens, as far as the limit admits them, lie after the last window; at least one
// window must fit.
int64_t DroppedTokens(int64_t tokens, const WindowOptions& options);

// Runs body(i, pool) for i in [0, count), several at a time when there are at least as many windows
// as threads, else one after the other with all threads in `pool`. Gives the error of the smallest
// i that has one. Calls `progress` after each window.
using WindowBody = std::function<Status(int64_t index, const std::shared_ptr<ThreadPool>& pool)>;
Status ForEachWindow(int64_t count, int threads, std::string_view what, const Progress& progress,
                     const WindowBody& body);

}  // namespace octet
#endif  // OCTET_EVAL_WINDOWS_H_
