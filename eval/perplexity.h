// Perplexity of a text under a model.
#ifndef OCTET_EVAL_PERPLEXITY_H_
#define OCTET_EVAL_PERPLEXITY_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "eval/progress.h"
#include "eval/windows.h"
#include "runtime/model.h"

namespace octet {

struct PerplexityReport {
  double perplexity = 0;     // exp(nll_per_token)
  double nll_per_token = 0;  // nats
  // Total negative log-likelihood in bits over the bytes that the scored tokens stand for; 0 when
  // the model has no tokenizer. Comparable between tokenizers, unlike perplexity.
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

}  // namespace octet
#endif  // OCTET_EVAL_PERPLEXITY_H_
