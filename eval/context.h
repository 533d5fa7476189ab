// Perplexity by position: what a model makes of a text as it grows, its state carried.
#ifndef OCTET_EVAL_CONTEXT_H_
#define OCTET_EVAL_CONTEXT_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "eval/compare.h"
#include "eval/progress.h"
#include "eval/text_data.h"
#include "runtime/model.h"

namespace octet {

struct ContextOptions {
  int64_t tokens = 16384;  // predictions in a row, >= 1
  int64_t bucket = 0;      // >= 1: buckets of so many; 0: [0, 64), [64, 128), [128, 256) and so on
  int threads = 1;         // results do not depend on it
};

// Predictions [first, last) of every segment: prediction p is made after p + 1 tokens.
struct ContextBucket {
  int64_t first = 0, last = 0;
  Estimate perplexity;
  // With a reference: its perplexity, the quotient of both, and the mean of
  // KL(reference || model) per token, nats.
  Estimate reference_perplexity, ratio, kl;
};

// The bootstrap over fewer segments gives intervals that are far too narrow.
inline constexpr int64_t kIntervalSegments = 6;

struct ContextReport {
  bool has_reference = false;
  bool has_intervals = false;  // else there are fewer segments, and low == value == high
  int64_t segments = 0;
  std::vector<ContextBucket> buckets;  // the last may be short
};

// Segments of exactly `length` >= 2 tokens, at most `count` >= 1: those of CutSamples that are that
// long. kInvalidArgument, naming the file and its longest document, when there is none.
Result<std::vector<TokenDocument>> CutSegments(const TextFile& file, const Tokenizer& tokenizer,
                                               int64_t count, int64_t length);

// Feeds each segment, of options.tokens + 1 tokens, to an empty state and carries that on to its
// end, as a prompt is read: in pieces of some hundred tokens, between which alone the state is
// rounded to the model's format. MeasureDrift (eval/drift.h) rounds it after each token.
// Estimates are of the mean over segments: exponents of mean negative log-likelihoods, and
// intervals of 95 % by drawing whole segments with replacement (BootstrapMean), in which model and
// reference stay together; of fewer than kIntervalSegments there are none, and of eight they are
// too narrow by about a fifth. `reference` may be null.
// kInvalidArgument for nonsensical options, no segment or one of another length, or vocabularies of
// different size; kInternal for logits that are not finite.
Result<ContextReport> MeasureContext(const std::shared_ptr<const Model>& model,
                                     const std::shared_ptr<const Model>& reference,
                                     std::span<const TokenDocument> segments,
                                     const ContextOptions& options, const Progress& progress);

}  // namespace octet
#endif  // OCTET_EVAL_CONTEXT_H_
