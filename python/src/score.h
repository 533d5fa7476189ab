// Log-likelihoods of many continuations.
#ifndef OCTET_PYTHON_SRC_SCORE_H_
#define OCTET_PYTHON_SRC_SCORE_H_

#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "eval/progress.h"
#include "eval/requests.h"
#include "runtime/model.h"

namespace octet::python {

// Scores requests, several at a time; the context of neighbours that have the same one runs once.
// Neither this nor `threads` changes a score: Scorer cuts requests that have one context where it
// cuts a single one, after the context (eval/requests.h). kInvalidArgument, naming the request, for
// one without context or continuation or with a token outside the vocabulary; errors else as of
// Scorer.
Result<std::vector<Score>> ScoreAll(const std::shared_ptr<const Model>& model,
                                    std::span<const Request> requests, int threads,
                                    const Progress& progress);

}  // namespace octet::python
#endif  // OCTET_PYTHON_SRC_SCORE_H_
