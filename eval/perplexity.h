// Perplexity of a text under a model, by the protocols whose numbers are published.
#ifndef OCTET_EVAL_PERPLEXITY_H_
#define OCTET_EVAL_PERPLEXITY_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "eval/progress.h"
#include "eval/windows.h"
#include "runtime/model.h"

namespace octet {

struct PerplexityReport {
  double perplexity = 0;     // exp(nll_per_token)
  double nll_per_token = 0;  // nats
  // Total negative log-likelihood of the scored tokens in bits, over the bytes that they stand for;
  // 0 when the model has no tokenizer. Comparable between tokenizers, unlike perplexity.
  double bits_per_byte = 0;
  int64_t tokens = 0;  // scored
  int64_t windows = 0;
};

// Mean negative log-likelihood over the windows of eval/windows.h; with stride == window it is
// GPTQ's protocol: equal windows, fresh state, rest dropped. Softmax in double over all vocabulary
// rows, padding included, as the papers do it; sums in text order, so that the result does not
// depend on the number of threads. `name` says in errors where `tokens` come from. kInternal when
// the model gives logits that are not finite.
Result<PerplexityReport> Perplexity(const std::shared_ptr<const Model>& model,
                                    std::span<const TokenId> tokens, const std::string& name,
                                    const WindowOptions& options, const Progress& progress);

// The number that the code of Hugging Face's guide "Perplexity of fixed-length models" prints
// (transformers, docs/source/en/perplexity.md): all tokens but the first are scored, over
// CutAllWindows. The guide weighs the mean of each window by one less than the tokens that are new
// in it, also of later windows, where it scores all of these; so does nll_per_token. bits_per_byte
// is of the plain sum.
Result<PerplexityReport> StridedPerplexity(const std::shared_ptr<const Model>& model,
                                           std::span<const TokenId> tokens, const std::string& name,
                                           const WindowOptions& options, const Progress& progress);

// A document to score, and what its log-likelihood is divided by: lm-eval counts both before it
// detokenizes (eval/wikitext.h).
struct ScoredDocument {
  std::string text;
  int64_t words = 0, bytes = 0;
};

// Pages of WikiText as lm-eval's task wikitext takes them (eval/wikitext.h).
std::vector<ScoredDocument> ScoredPages(std::span<const std::string> pages);

struct DocumentReport {
  // exp of the total negative log-likelihood over all words and over all bytes.
  double word_perplexity = 0, byte_perplexity = 0;
  double bits_per_byte = 0;
  double nll_per_token = 0;  // nats
  int64_t documents = 0, words = 0, bytes = 0, tokens = 0, windows = 0;
  std::vector<double> log_likelihoods;  // of each document, nats
};

// lm-evaluation-harness's rolling log-likelihood: each document by itself, after PrefixToken
// (eval/requests.h), in CutRollingWindows of `window` tokens. As in the harness every window starts
// from an empty state; none is carried, not even within a document. The division by words and bytes
// is that of its task wikitext. kNotFound for a model without a tokenizer or that token,
// kInvalidArgument for documents without a word, errors else as of Perplexity.
Result<DocumentReport> DocumentPerplexity(const std::shared_ptr<const Model>& model,
                                          std::span<const ScoredDocument> documents, int64_t window,
                                          int threads, const Progress& progress);

// Negative log-likelihood, nats, of every token that `windows` score, one window after the other;
// the windows lie in `tokens`, and so does the token that each scored position predicts. kInternal
// as above.
Result<std::vector<double>> TokenNlls(const std::shared_ptr<const Model>& model,
                                      std::span<const TokenId> tokens,
                                      std::span<const Window> windows, int threads,
                                      const Progress& progress);

}  // namespace octet
#endif  // OCTET_EVAL_PERPLEXITY_H_
