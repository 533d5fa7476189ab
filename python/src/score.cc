#include "python/src/score.h"

#include <algorithm>
#include <mutex>

#include <fmt/format.h>

#include "eval/windows.h"

namespace octet::python {
namespace {

std::span<const TokenId> Context(const Request& r) {
  return std::span(r.tokens).first(r.tokens.size() - static_cast<size_t>(r.scored));
}

Status Check(const Model& model, const Request& r) {
  if (model.graph().nodes[0].op == Op::kFrames) {
    return InvalidArgument("the model reads frames of numbers, not tokens");
  }
  if (r.scored < 1) return InvalidArgument("the continuation has no tokens");
  if (Context(r).empty()) return InvalidArgument("the context has no tokens");
  for (const TokenId id : r.tokens) {
    if (id < 0 || id >= model.vocab_rows()) {
      return InvalidArgument(
          fmt::format("token {} is outside the vocabulary of {} rows", id, model.vocab_rows()));
    }
  }
  return {};
}

}  // namespace

Result<std::vector<Score>> ScoreAll(const std::shared_ptr<const Model>& model,
                                    std::span<const Request> requests, int threads,
                                    const Progress& progress) {
  std::vector<size_t> begins;  // of groups with the same context, and one past the last
  for (size_t i = 0; i < requests.size(); ++i) {
    if (const Status s = Check(*model, requests[i]); !s.ok()) {
      return s.Annotate(fmt::format("request {}", i));
    }
    if (i == 0 || !std::ranges::equal(Context(requests[i - 1]), Context(requests[i]))) {
      begins.push_back(i);
    }
  }
  const int64_t groups = std::ssize(begins);
  begins.push_back(requests.size());
  std::vector<Score> scores(requests.size());
  std::mutex mutex;
  int64_t done = 0;  // requests, which `progress` counts, not groups
  const auto score = [&](int64_t group, const std::shared_ptr<ThreadPool>& pool) -> Status {
    const size_t begin = begins[static_cast<size_t>(group)];
    const size_t count = begins[static_cast<size_t>(group) + 1] - begin;
    Scorer scorer(model, pool);
    OCTET_ASSIGN(const std::vector<Score> part, scorer.Run(requests.subspan(begin, count)));
    std::ranges::copy(part, scores.begin() + static_cast<std::ptrdiff_t>(begin));
    const std::lock_guard lock(mutex);
    done += static_cast<int64_t>(count);
    if (progress) progress("scoring", done, std::ssize(requests));
    return {};
  };
  OCTET_TRY(ForEachWindow(groups, threads, "scoring", {}, score));
  return scores;
}

}  // namespace octet::python
