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

// Tokens [begin, begin + length) of the text, fed to an empty state. Position p of the window
// predicts token begin + p + 1; positions first_scored .. end_scored - 1 count. end_scored is
// length - 1 at most, or length where the text goes on.
struct Window {
  int64_t begin = 0;
  int64_t length = 0;
  int64_t first_scored = 0;
  int64_t end_scored = 0;
  int64_t scored() const { return end_scored - first_scored; }
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

// The same windows, but nothing is dropped: one that is shorter ends the text, and scores what
// those before it did not. The windows of Hugging Face's guide (eval/perplexity.h).
// kInvalidArgument for nonsensical options or a text of less than 2 tokens.
Result<std::vector<Window>> CutAllWindows(int64_t tokens, const WindowOptions& options,
                                          std::string_view name);

// lm-eval's rolling windows (get_rolling_token_windows with a context of 1, then
// make_disjoint_window) of one document that lies at tokens [begin, begin + 1 + tokens) of a text:
// a prefix token, then its `tokens` tokens, all of which are scored. A window is fed at most
// `window` >= 1 tokens: the first the prefix and what fits, each later one the last token that the
// one before it scored and what fits, but the last one as many tokens as a whole one.
std::vector<Window> CutRollingWindows(int64_t begin, int64_t tokens, int64_t window);

// Runs body(i, pool) for i in [0, count), several at a time when there are at least as many windows
// as threads, else one after the other with all threads in `pool`. Gives the error of the smallest
// i that has one. Calls `progress` after each window.
using WindowBody = std::function<Status(int64_t index, const std::shared_ptr<ThreadPool>& pool)>;
Status ForEachWindow(int64_t count, int threads, std::string_view what, const Progress& progress,
                     const WindowBody& body);

}  // namespace octet
#endif  // OCTET_EVAL_WINDOWS_H_
