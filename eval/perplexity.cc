#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include <fmt/format.h>

#include "base/logits.h"
#include "eval/requests.h"
#include "eval/wikitext.h"
#include "runtime/session.h"

namespace octet {
namespace {

Status ScoreWindow(const std::shared_ptr<const Model>& model, std::span<const TokenId> tokens,
                   const Window& w, const std::shared_ptr<ThreadPool>& pool, double* out) {
  Session session(model, pool);
  const auto part = tokens.subspan(static_cast<size_t>(w.begin), static_cast<size_t>(w.length));
  const size_t vocab = static_cast<size_t>(model->vocab_rows());
  double sum = 0;
  OCTET_TRY(session.FeedAll(part, [&](int64_t first, int64_t rows, const float* logits) {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t p = first + r;
      if (p < w.first_scored || p >= w.end_scored) continue;
      const std::span row(logits + static_cast<size_t>(r) * vocab, vocab);
      *out = NegativeLogLikelihood(row, tokens[static_cast<size_t>(w.begin + p + 1)]);
      sum += *out++;
    }
  }));
  if (std::isfinite(sum)) return {};
  return Internal(fmt::format("the model gives logits that are not finite in tokens {} to {}",
                              w.begin, w.begin + w.length - 1));
}

int64_t ScoredTokens(std::span<const Window> windows) {
  int64_t tokens = 0;
  for (const Window& w : windows) {
    tokens += w.scored();
  }
  return tokens;
}

// Sums of the tokens of each window.
std::vector<double> WindowSums(std::span<const double> nlls, std::span<const Window> windows) {
  std::vector<double> sums;
  for (const Window& w : windows) {
    const auto count = static_cast<size_t>(w.scored());
    sums.push_back(std::accumulate(nlls.begin(), nlls.begin() + w.scored(), 0.0));
    nlls = nlls.subspan(count);
  }
  return sums;
}

double Total(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

double Bits(double nats, int64_t bytes) {
  return nats / std::numbers::ln2 / static_cast<double>(bytes);
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

// All but the means, of windows whose sums are known.
PerplexityReport Describe(const Model& model, std::span<const TokenId> tokens,
                          std::span<const Window> windows, std::span<const double> sums) {
  PerplexityReport report;
  report.tokens = ScoredTokens(windows);
  report.windows = std::ssize(windows);
  if (const Result<Tokenizer> tokenizer = model.tokenizer(); tokenizer.ok()) {
    const int64_t bytes = ScoredBytes(*tokenizer, tokens, windows);
    if (bytes > 0) report.bits_per_byte = Bits(Total(sums), bytes);
  }
  return report;
}

}  // namespace

Result<std::vector<double>> TokenNlls(const std::shared_ptr<const Model>& model,
                                      std::span<const TokenId> tokens,
                                      std::span<const Window> windows, int threads,
                                      const Progress& progress) {
  std::vector<size_t> offsets;
  size_t count = 0;
  for (const Window& w : windows) {
    offsets.push_back(count);
    count += static_cast<size_t>(w.scored());
  }
  std::vector<double> nlls(count);
  OCTET_TRY(ForEachWindow(std::ssize(windows), threads, "measuring perplexity", progress,
                          [&](int64_t i, const std::shared_ptr<ThreadPool>& pool) {
                            const auto k = static_cast<size_t>(i);
                            return ScoreWindow(model, tokens, windows[k], pool,
                                               nlls.data() + offsets[k]);
                          }));
  return nlls;
}

Result<PerplexityReport> Perplexity(const std::shared_ptr<const Model>& model,
                                    std::span<const TokenId> tokens, const std::string& name,
                                    const WindowOptions& options, const Progress& progress) {
  OCTET_ASSIGN(const std::vector<Window> windows, CutWindows(std::ssize(tokens), options, name));
  OCTET_ASSIGN(const std::vector<double> nlls,
               TokenNlls(model, tokens, windows, options.threads, progress));
  const std::vector<double> sums = WindowSums(nlls, windows);
  PerplexityReport report = Describe(*model, tokens, windows, sums);
  report.nll_per_token = Total(sums) / static_cast<double>(report.tokens);
  report.perplexity = std::exp(report.nll_per_token);
  return report;
}

Result<PerplexityReport> StridedPerplexity(const std::shared_ptr<const Model>& model,
                                           std::span<const TokenId> tokens, const std::string& name,
                                           const WindowOptions& options, const Progress& progress) {
  OCTET_ASSIGN(const std::vector<Window> windows, CutAllWindows(std::ssize(tokens), options, name));
  OCTET_ASSIGN(const std::vector<double> nlls,
               TokenNlls(model, tokens, windows, options.threads, progress));
  const std::vector<double> sums = WindowSums(nlls, windows);
  double sum = 0, weights = 0;
  for (size_t i = 0; i < windows.size(); ++i) {
    if (windows[i].scored() == 0) continue;
    // The first token of the window is new but cannot be scored, unless the window overlaps.
    const bool overlaps = i > 0 && options.stride < options.window;
    const auto scored = static_cast<double>(windows[i].scored());
    const double weight = scored - (overlaps ? 1 : 0);
    sum += sums[i] / scored * weight;
    weights += weight;
  }
  PerplexityReport report = Describe(*model, tokens, windows, sums);
  report.nll_per_token = sum / weights;
  report.perplexity = std::exp(report.nll_per_token);
  return report;
}

std::vector<ScoredDocument> ScoredPages(std::span<const std::string> pages) {
  std::vector<ScoredDocument> documents;
  for (const std::string& page : pages) {
    documents.push_back({Detokenized(page), CountWords(page), std::ssize(page)});
  }
  return documents;
}

Result<DocumentReport> DocumentPerplexity(const std::shared_ptr<const Model>& model,
                                          std::span<const ScoredDocument> documents, int64_t window,
                                          int threads, const Progress& progress) {
  if (window < 1) return InvalidArgument("a window needs at least 1 token");
  OCTET_ASSIGN(const Tokenizer tokenizer, model->tokenizer());
  OCTET_ASSIGN(const TokenId prefix, PrefixToken(*model));
  DocumentReport report;
  std::vector<TokenId> tokens;
  std::vector<Window> windows;
  std::vector<size_t> ends;  // of the windows of each document
  for (const ScoredDocument& d : documents) {
    const std::vector<TokenId> ids = tokenizer.Encode(d.text);
    const auto own = CutRollingWindows(std::ssize(tokens), std::ssize(ids), window);
    windows.insert(windows.end(), own.begin(), own.end());
    ends.push_back(windows.size());
    tokens.push_back(prefix);
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    report.words += d.words;
    report.bytes += d.bytes;
  }
  report.documents = std::ssize(documents);
  report.windows = std::ssize(windows);
  report.tokens = ScoredTokens(windows);
  if (report.tokens == 0 || report.words == 0 || report.bytes == 0) {
    return InvalidArgument("there is no word in the documents");
  }
  OCTET_ASSIGN(const std::vector<double> nlls,
               TokenNlls(model, tokens, windows, threads, progress));
  const std::vector<double> sums = WindowSums(nlls, windows);
  double total = 0;
  for (size_t i = 0, begin = 0; i < ends.size(); begin = ends[i++]) {
    const double nll = Total(std::span(sums).subspan(begin, ends[i] - begin));
    report.log_likelihoods.push_back(-nll);
    total += nll;
  }
  report.word_perplexity = std::exp(total / static_cast<double>(report.words));
  report.byte_perplexity = std::exp(total / static_cast<double>(report.bytes));
  report.bits_per_byte = Bits(total, report.bytes);
  report.nll_per_token = total / static_cast<double>(report.tokens);
  return report;
}

}  // namespace octet
