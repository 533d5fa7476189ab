#include "python/src/score.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/logits.h"
#include "eval/windows.h"
#include "runtime/session.h"

namespace octet::python {
namespace {

Result<Score> ScoreOne(const std::shared_ptr<const Model>& model, const ScoreRequest& request,
                       const std::shared_ptr<ThreadPool>& pool) {
  if (request.context.empty()) return InvalidArgument("the context has no tokens");
  if (request.continuation.empty()) return InvalidArgument("the continuation has no tokens");
  // The last token predicts nothing.
  std::vector<TokenId> tokens(request.context.begin(), request.context.end());
  tokens.insert(tokens.end(), request.continuation.begin(), request.continuation.end() - 1);
  const size_t vocab = static_cast<size_t>(model->vocab_rows());
  if (request.continuation.back() < 0 || request.continuation.back() >= model->vocab_rows()) {
    return InvalidArgument(fmt::format("token {} is outside the vocabulary of {} rows",
                                       request.continuation.back(), vocab));
  }
  const int64_t first_scored = std::ssize(request.context) - 1;
  Session session(model, pool);
  Score score;
  OCTET_TRY(session.FeedAll(tokens, [&](int64_t first, int64_t rows, const float* logits) {
    for (int64_t r = std::max<int64_t>(0, first_scored - first); r < rows; ++r) {
      const std::span row(logits + static_cast<size_t>(r) * vocab, vocab);
      const TokenId target = request.continuation[static_cast<size_t>(first + r - first_scored)];
      score.log_likelihood -= NegativeLogLikelihood(row, target);
      score.is_greedy &= std::ranges::max_element(row) - row.begin() == target;
    }
  }));
  if (!std::isfinite(score.log_likelihood)) {
    return Internal("the model gives logits that are not finite");
  }
  return score;
}

}  // namespace

Result<std::vector<Score>> ScoreAll(const std::shared_ptr<const Model>& model,
                                    std::span<const ScoreRequest> requests, int threads,
                                    const Progress& progress) {
  std::vector<Score> scores(requests.size());
  OCTET_TRY(ForEachWindow(std::ssize(requests), threads, "scoring", progress,
                          [&](int64_t i, const std::shared_ptr<ThreadPool>& pool) -> Status {
                            const size_t k = static_cast<size_t>(i);
                            const auto score = ScoreOne(model, requests[k], pool);
                            if (!score.ok()) {
                              return score.status().Annotate(fmt::format("request {}", i));
                            }
                            scores[k] = *score;
                            return {};
                          }));
  return scores;
}

}  // namespace octet::python
