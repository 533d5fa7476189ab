// Log-likelihoods of continuations.
#ifndef OCTET_PYTHON_SRC_SCORE_H_
#define OCTET_PYTHON_SRC_SCORE_H_

#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "eval/progress.h"
#include "runtime/model.h"

namespace octet::python {

struct ScoreRequest {
  std::span<const TokenId> context, continuation;  // at least one token each
};
struct Score {
  double log_likelihood = 0;  // of the continuation after the context, nats
  bool is_greedy = true;  // whether each of its tokens is the most likely one (ties: smaller id)
};

// Each request runs from an empty state, several at a time; results do not depend on `threads`.
// Softmax in double over all vocabulary rows. kInvalidArgument for an empty part or a token outside
// the vocabulary; kInternal for logits that are not finite.
Result<std::vector<Score>> ScoreAll(const std::shared_ptr<const Model>& model,
                                    std::span<const ScoreRequest> requests, int threads,
                                    const Progress& progress);

}  // namespace octet::python
#endif  // OCTET_PYTHON_SRC_SCORE_H_
