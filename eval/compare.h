// How much a candidate model (a quantized one) departs from a reference (the float one).
#ifndef OCTET_EVAL_COMPARE_H_
#define OCTET_EVAL_COMPARE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/logits.h"
#include "base/status.h"
#include "eval/progress.h"
#include "eval/windows.h"
#include "runtime/model.h"

namespace octet {

// An estimate and its 95 % confidence interval.
struct Estimate {
  double value = 0, low = 0, high = 0;
};

// Standard errors on either side of a mean that make such an interval of a normal distribution.
inline constexpr double kNormal95 = 1.959963984540054;

// Mean of `values` with an interval by the block bootstrap: consecutive values form blocks of
// `block` (the last may be shorter), blocks are drawn with replacement 2000 times, and the interval
// is the 2.5 % and 97.5 % quantiles of the resampled means. Blocks keep neighbouring tokens, which
// are not independent, together. At least one value; deterministic for a seed.
Estimate BootstrapMean(std::span<const double> values, int64_t block, uint64_t seed);

// Quantile q in [0, 1] with linear interpolation between order statistics (numpy's default).
// `sorted` is ascending and not empty.
double Quantile(std::span<const double> sorted, double q);

// Tokens that a window predicts at its positions [first, last): after that many tokens and one
// more.
struct PositionKl {
  int64_t first = 0, last = 0;
  Estimate kl;  // nats per token; the windows are drawn with replacement
};

struct CompareReport {
  // KL(reference || candidate) per scored token, nats.
  Estimate kl_mean;
  double kl_p50 = 0, kl_p99 = 0, kl_max = 0;
  double top1_agreement = 0;  // share of tokens where both find the same one most likely
  Estimate reference_nll, candidate_nll;  // mean negative log-likelihood, nats per token
  double reference_perplexity = 0, candidate_perplexity = 0;  // exp of its value
  Estimate
      perplexity_ratio;  // candidate / reference: exp of the mean difference of log-likelihoods
  int64_t tokens = 0;
  int64_t windows = 0;
  std::vector<double> window_kl;  // mean KL of each window, in text order
  // Positions 0, 1, 2 to 3, 4 to 7, ... of the windows, as far as they are scored.
  std::vector<PositionKl> by_position;
};

// Mean of a[i] - b[i] with a 95 % interval: two candidates on the same windows, which are drawn
// together (BootstrapMean with blocks of one), so that what makes a window hard for both cancels.
// Equally many values, at least one.
Estimate PairedDifference(std::span<const double> a, std::span<const double> b);

// Feeds the windows of eval/windows.h to both models. Softmax in double over all vocabulary rows.
// Intervals: BootstrapMean over blocks of 64 scored tokens, fewer when that leaves less than 20
// blocks. Memory: the reference's logits of one piece, the least common multiple of both chunk
// sizes and at least 256 tokens, for each thread. kInvalidArgument when the vocabularies differ in
// size; kInternal for logits that are not finite, naming the model.
Result<CompareReport> Compare(const std::shared_ptr<const Model>& reference,
                              const std::shared_ptr<const Model>& candidate,
                              std::span<const TokenId> tokens, const std::string& name,
                              const WindowOptions& options, const Progress& progress);

// The same for several candidates, while the reference runs once: reports in their order. The
// chunk sizes of all count for the piece.
Result<std::vector<CompareReport>> CompareAll(
    const std::shared_ptr<const Model>& reference,
    std::span<const std::shared_ptr<const Model>> candidates, std::span<const TokenId> tokens,
    const std::string& name, const WindowOptions& options, const Progress& progress);

// What the models say of every token that `windows`, which lie in `tokens`, score: for each
// candidate a row per token, one window after the other. The state is carried through a window,
// whatever its length. Errors and memory as of Compare, and the rows.
Result<std::vector<std::vector<RowComparison>>> CompareTokens(
    const std::shared_ptr<const Model>& reference,
    std::span<const std::shared_ptr<const Model>> candidates, std::span<const TokenId> tokens,
    std::span<const Window> windows, int threads, const Progress& progress);

}  // namespace octet
#endif  // OCTET_EVAL_COMPARE_H_
