#include "eval/perplexity.h"

#include <cmath>
#include <numbers>
#include <vector>

#include <fmt/format.h>

#include "base/logits.h"
#include "runtime/session.h"

namespace octet {
namespace {

// Sum of the negative log-likelihoods that one window scores.
Result<double> WindowNll(const std::shared_ptr<const Model>& model, std::span<const TokenId> tokens,
                         const Window& w, const std::shared_ptr<ThreadPool>& pool) {
  Session session(model, pool);
  const auto part = tokens.subspan(static_cast<size_t>(w.begin), static_cast<size_t>(w.length));
  const size_t vocab = static_cast<size_t>(model->vocab_rows());
  double sum = 0;
  OCTET_TRY(session.FeedAll(part, [&](int64_t first, int64_t rows, const float* logits) {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t p = first + r;
      if (p < w.first_scored || p + 1 >= w.length) continue;
      const std::span row(logits + static_cast<size_t>(r) * vocab, vocab);
      sum += NegativeLogLikelihood(row, part[static_cast<size_t>(p + 1)]);
    }
  }));
  if (!std::isfinite(sum)) {
    return Internal(fmt::format("the model gives logits that are not finite in tokens {} to {}",
                                w.begin, w.begin + w.length - 1));
  }
  return sum;
}

int64_t ScoredBytes(const Tokenizer& tokenizer, std::span<const TokenId> tokens,
                    std::span<const Window> windows) {
  int64_t bytes = 0;
  for (const Window& w : windows) {
    const auto scored = tokens.subspan(static_cast<size_t>(w.begin + w.first_scored + 1),
                                       static_cast<size_t>(w.scored()));
    for (const TokenId id : scored) {
      bytes += static_cast<int64_t>(tokenizer.Bytes(id).size());
    }
  }
  return bytes;
}

}  // namespace

Result<PerplexityReport> Perplexity(const std::shared_ptr<const Model>& model,
                                    std::span<const TokenId> tokens, const std::string& name,
                                    const WindowOptions& options, const Progress& progress) {
  OCTET_ASSIGN(const std::vector<Window> windows,
               CutWindows(static_cast<int64_t>(tokens.size()), options, name));
  std::vector<double> sums(windows.size());
  OCTET_TRY(ForEachWindow(static_cast<int64_t>(windows.size()), options.threads,
                          "measuring perplexity", progress,
                          [&](int64_t i, const std::shared_ptr<ThreadPool>& pool) -> Status {
                            const size_t k = static_cast<size_t>(i);
                            OCTET_ASSIGN(sums[k], WindowNll(model, tokens, windows[k], pool));
                            return {};
                          }));
  PerplexityReport report;
  double total = 0;
  for (size_t i = 0; i < windows.size(); ++i) {
    total += sums[i];
    report.tokens += windows[i].scored();
  }
  report.windows = static_cast<int64_t>(windows.size());
  report.nll_per_token = total / static_cast<double>(report.tokens);
  report.perplexity = std::exp(report.nll_per_token);
  if (const Result<Tokenizer> tokenizer = model->tokenizer(); tokenizer.ok()) {
    const int64_t bytes = ScoredBytes(*tokenizer, tokens, windows);
    if (bytes > 0) {
      report.bits_per_byte = total / std::numbers::ln2 / static_cast<double>(bytes);
    }
  }
  return report;
}

}  // namespace octet
