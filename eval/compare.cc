#include "eval/compare.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include <fmt/format.h>

#include "base/checked.h"
#include "base/logits.h"
#include "base/rng.h"
#include "runtime/session.h"

namespace octet {
namespace {

constexpr int kResamples = 2000;
constexpr int64_t kBlock = 64;
constexpr int64_t kMinBlocks = 20;
constexpr uint64_t kBootstrapSeed = 0x6f63746574;
constexpr int64_t kPiece = 256;

using Candidates = std::span<const std::shared_ptr<const Model>>;

// Cutting a window there changes no result of any model (runtime/session.h).
int64_t PieceLength(const Model& reference, Candidates candidates, int64_t window) {
  int64_t step = ChunkSize(reference.graph());
  for (const auto& c : candidates) {
    step = std::lcm(step, ChunkSize(c->graph()));
    if (step >= window) return window;
  }
  return CeilDiv(kPiece, step) * step;
}

// One window through all models; `out` has one row of results for each candidate.
Status CompareWindow(const std::shared_ptr<const Model>& reference, Candidates candidates,
                     std::span<const TokenId> tokens, const Window& w,
                     const std::shared_ptr<ThreadPool>& pool, std::vector<RowComparison*> out) {
  const auto part = tokens.subspan(static_cast<size_t>(w.begin), static_cast<size_t>(w.length));
  Session reference_session(reference, pool);
  std::vector<Session> sessions;
  for (const auto& c : candidates) {
    sessions.emplace_back(c, pool);
  }
  const size_t vocab = static_cast<size_t>(reference->vocab_rows());
  const int64_t piece = PieceLength(*reference, candidates, w.length);
  std::vector<float> want;
  for (int64_t t = 0; t < w.length; t += piece) {
    const auto now =
        part.subspan(static_cast<size_t>(t), static_cast<size_t>(std::min(piece, w.length - t)));
    want.resize(now.size() * vocab);
    OCTET_TRY(reference_session.FeedAll(now, [&](int64_t first, int64_t rows, const float* logits) {
      std::copy_n(logits, static_cast<size_t>(rows) * vocab,
                  want.data() + static_cast<size_t>(first) * vocab);
    }));
    for (size_t c = 0; c < sessions.size(); ++c) {
      OCTET_TRY(sessions[c].FeedAll(now, [&](int64_t first, int64_t rows, const float* logits) {
        for (int64_t r = 0; r < rows; ++r) {
          const int64_t p = t + first + r;
          if (p < w.first_scored || p >= w.end_scored) continue;
          const std::span<const float> a(want.data() + static_cast<size_t>(first + r) * vocab,
                                         vocab);
          const std::span<const float> b(logits + static_cast<size_t>(r) * vocab, vocab);
          *out[c]++ = CompareRows(a, b, tokens[static_cast<size_t>(w.begin + p + 1)]);
        }
      }));
    }
  }
  return {};
}

Status CheckFinite(std::span<const RowComparison> rows) {
  for (const RowComparison& r : rows) {
    if (!std::isfinite(r.reference_nll)) {
      return Internal("the reference model gives logits that are not finite");
    }
    if (!std::isfinite(r.candidate_nll) || !std::isfinite(r.kl)) {
      return Internal("the candidate model gives logits that are not finite");
    }
  }
  return {};
}

CompareReport Summarize(std::span<const RowComparison> rows) {
  CompareReport report;
  std::vector<double> kl, log_ratio, reference_nll, candidate_nll;
  int64_t agreed = 0;
  for (const RowComparison& r : rows) {
    kl.push_back(r.kl);
    log_ratio.push_back(r.candidate_nll - r.reference_nll);
    reference_nll.push_back(r.reference_nll);
    candidate_nll.push_back(r.candidate_nll);
    agreed += r.same_top;
  }
  report.tokens = static_cast<int64_t>(rows.size());
  const double n = static_cast<double>(rows.size());
  const int64_t block = std::clamp<int64_t>(report.tokens / kMinBlocks, 1, kBlock);
  report.kl_mean = BootstrapMean(kl, block, kBootstrapSeed);
  const Estimate log = BootstrapMean(log_ratio, block, kBootstrapSeed);
  report.perplexity_ratio = {std::exp(log.value), std::exp(log.low), std::exp(log.high)};
  std::ranges::sort(kl);
  report.kl_p50 = Quantile(kl, 0.5);
  report.kl_p99 = Quantile(kl, 0.99);
  report.kl_max = kl.back();
  report.top1_agreement = static_cast<double>(agreed) / n;
  report.reference_nll = BootstrapMean(reference_nll, block, kBootstrapSeed);
  report.candidate_nll = BootstrapMean(candidate_nll, block, kBootstrapSeed);
  report.reference_perplexity = std::exp(report.reference_nll.value);
  report.candidate_perplexity = std::exp(report.candidate_nll.value);
  return report;
}

// Where the rows of each window begin, and at last how many there are.
std::vector<size_t> Offsets(std::span<const Window> windows) {
  std::vector<size_t> offsets = {0};
  for (const Window& w : windows) {
    offsets.push_back(offsets.back() + static_cast<size_t>(w.scored()));
  }
  return offsets;
}

// Mean KL of the rows between neighbouring offsets.
std::vector<double> WindowMeans(std::span<const RowComparison> rows,
                                std::span<const size_t> offsets) {
  std::vector<double> means;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    double sum = 0;
    for (size_t k = offsets[i]; k < offsets[i + 1]; ++k) {
      sum += rows[k].kl;
    }
    means.push_back(sum / static_cast<double>(offsets[i + 1] - offsets[i]));
  }
  return means;
}

std::vector<PositionKl> ByPosition(std::span<const RowComparison> rows,
                                   std::span<const Window> windows) {
  std::vector<PositionKl> buckets;
  const int64_t positions = windows.front().length - 1;
  for (int64_t first = 0, last; first < positions; first = last) {
    last = std::min(positions, std::max<int64_t>(1, 2 * first));
    std::vector<double> means;  // of the windows that score some of these positions
    size_t offset = 0;
    for (const Window& w : windows) {
      double sum = 0;
      const int64_t from = std::max(first, w.first_scored);
      for (int64_t p = from; p < last; ++p) {
        sum += rows[offset + static_cast<size_t>(p - w.first_scored)].kl;
      }
      if (from < last) means.push_back(sum / static_cast<double>(last - from));
      offset += static_cast<size_t>(w.scored());
    }
    if (!means.empty()) buckets.push_back({first, last, BootstrapMean(means, 1, kBootstrapSeed)});
  }
  return buckets;
}

}  // namespace

double Quantile(std::span<const double> sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Estimate BootstrapMean(std::span<const double> values, int64_t block, uint64_t seed) {
  std::vector<std::pair<double, int64_t>> blocks;  // sum, count
  for (size_t i = 0; i < values.size(); i += static_cast<size_t>(block)) {
    const auto part = values.subspan(i, std::min(static_cast<size_t>(block), values.size() - i));
    blocks.emplace_back(std::accumulate(part.begin(), part.end(), 0.0),
                        static_cast<int64_t>(part.size()));
  }
  Rng rng(seed);
  std::vector<double> means(kResamples);
  for (double& mean : means) {
    double sum = 0;
    int64_t count = 0;
    for (size_t i = 0; i < blocks.size(); ++i) {
      const auto& drawn = blocks[rng.Below(blocks.size())];
      sum += drawn.first;
      count += drawn.second;
    }
    mean = sum / static_cast<double>(count);
  }
  std::ranges::sort(means);
  const double total = std::accumulate(values.begin(), values.end(), 0.0);
  return {total / static_cast<double>(values.size()), Quantile(means, 0.025),
          Quantile(means, 0.975)};
}

Estimate PairedDifference(std::span<const double> a, std::span<const double> b) {
  std::vector<double> differences(a.size());
  std::ranges::transform(a, b, differences.begin(), std::minus<>());
  return BootstrapMean(differences, 1, kBootstrapSeed);
}

Result<CompareReport> Compare(const std::shared_ptr<const Model>& reference,
                              const std::shared_ptr<const Model>& candidate,
                              std::span<const TokenId> tokens, const std::string& name,
                              const WindowOptions& options, const Progress& progress) {
  OCTET_ASSIGN(std::vector<CompareReport> reports,
               CompareAll(reference, {&candidate, 1}, tokens, name, options, progress));
  return std::move(reports.front());
}

Result<std::vector<std::vector<RowComparison>>> CompareTokens(
    const std::shared_ptr<const Model>& reference, Candidates candidates,
    std::span<const TokenId> tokens, std::span<const Window> windows, int threads,
    const Progress& progress) {
  for (const auto& c : candidates) {
    if (reference->vocab_rows() == c->vocab_rows()) continue;
    return InvalidArgument(
        fmt::format("the models have vocabularies of {} and {} rows; they cannot be compared",
                    reference->vocab_rows(), c->vocab_rows()));
  }
  const std::vector<size_t> offsets = Offsets(windows);
  std::vector<std::vector<RowComparison>> rows(candidates.size(),
                                               std::vector<RowComparison>(offsets.back()));
  OCTET_TRY(ForEachWindow(std::ssize(windows), threads, "comparing the models", progress,
                          [&](int64_t i, const std::shared_ptr<ThreadPool>& pool) {
                            const Window& w = windows[static_cast<size_t>(i)];
                            std::vector<RowComparison*> out;
                            out.reserve(rows.size());
                            for (auto& r : rows) {
                              out.push_back(r.data() + offsets[static_cast<size_t>(i)]);
                            }
                            return CompareWindow(reference, candidates, tokens, w, pool,
                                                 std::move(out));
                          }));
  for (const auto& r : rows) {
    OCTET_TRY(CheckFinite(r));
  }
  return rows;
}

Result<std::vector<CompareReport>> CompareAll(
    const std::shared_ptr<const Model>& reference,
    std::span<const std::shared_ptr<const Model>> candidates, std::span<const TokenId> tokens,
    const std::string& name, const WindowOptions& options, const Progress& progress) {
  OCTET_ASSIGN(const std::vector<Window> windows, CutWindows(std::ssize(tokens), options, name));
  OCTET_ASSIGN(const auto rows,
               CompareTokens(reference, candidates, tokens, windows, options.threads, progress));
  std::vector<CompareReport> reports;
  for (const auto& r : rows) {
    reports.push_back(Summarize(r));
    reports.back().windows = std::ssize(windows);
    reports.back().window_kl = WindowMeans(r, Offsets(windows));
    reports.back().by_position = ByPosition(r, windows);
  }
  return reports;
}

}  // namespace octet
