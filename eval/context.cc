#include "eval/context.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "eval/perplexity.h"

namespace octet {
namespace {

constexpr int64_t kFirstBucket = 64;
constexpr uint64_t kSeed = 0x636f6e74;

// All segments as one text, and a window over each.
struct Stream {
  std::vector<TokenId> tokens;
  std::vector<Window> windows;
};

Result<Stream> Join(std::span<const TokenDocument> segments, int64_t predictions) {
  if (segments.empty()) return InvalidArgument("there is no text to measure on");
  Stream stream;
  for (const TokenDocument& s : segments) {
    if (std::ssize(s) != predictions + 1) {
      return InvalidArgument(
          fmt::format("a segment has {} tokens, not {}", s.size(), predictions + 1));
    }
    stream.windows.push_back({std::ssize(stream.tokens), predictions, 0, predictions});
    stream.tokens.insert(stream.tokens.end(), s.begin(), s.end());
  }
  return stream;
}

std::vector<ContextBucket> CutBuckets(const ContextOptions& options) {
  std::vector<ContextBucket> buckets;
  for (int64_t first = 0; first < options.tokens; first = buckets.back().last) {
    ContextBucket b;
    b.first = first;
    const int64_t size = options.bucket > 0 ? options.bucket : std::max(kFirstBucket, first);
    b.last = first + std::min(size, options.tokens - first);
    buckets.push_back(b);
  }
  return buckets;
}

// The mean over segments of value(row), rows of each being those of the bucket, with its interval.
template <class Row, class Value>
Estimate Mean(std::span<const Row> rows, const ContextBucket& b, int64_t predictions, Value value) {
  std::vector<double> means;
  for (size_t segment = 0; segment < rows.size(); segment += static_cast<size_t>(predictions)) {
    double sum = 0;
    for (const Row& row : rows.subspan(segment + static_cast<size_t>(b.first),
                                       static_cast<size_t>(b.last - b.first))) {
      sum += value(row);
    }
    means.push_back(sum / static_cast<double>(b.last - b.first));
  }
  Estimate e = BootstrapMean(means, 1, kSeed);
  if (std::ssize(means) < kIntervalSegments) e.low = e.high = e.value;
  return e;
}

Estimate Exp(const Estimate& e) {
  return {std::exp(e.value), std::exp(e.low), std::exp(e.high)};
}

}  // namespace

Result<std::vector<TokenDocument>> CutSegments(const TextFile& file, const Tokenizer& tokenizer,
                                               int64_t count, int64_t length) {
  OCTET_ASSIGN(std::vector<TokenDocument> segments,
               CutSamples(file, tokenizer, std::numeric_limits<int64_t>::max(), length));
  size_t longest = 0;
  for (const TokenDocument& s : segments) {
    longest = std::max(longest, s.size());
  }
  if (std::cmp_less(longest, length)) {
    return InvalidArgument(fmt::format("{}: no document has {} tokens; the longest has {}",
                                       file.path, length, longest));
  }
  std::erase_if(segments, [&](const TokenDocument& s) { return std::cmp_less(s.size(), length); });
  if (std::cmp_greater(segments.size(), count)) segments.resize(static_cast<size_t>(count));
  return segments;
}

Result<ContextReport> MeasureContext(const std::shared_ptr<const Model>& model,
                                     const std::shared_ptr<const Model>& reference,
                                     std::span<const TokenDocument> segments,
                                     const ContextOptions& options, const Progress& progress) {
  if (options.tokens < 1 || options.bucket < 0) {
    return InvalidArgument("there must be at least one token, and buckets of at least one");
  }
  OCTET_ASSIGN(const Stream stream, Join(segments, options.tokens));
  ContextReport report;
  report.has_reference = reference != nullptr;
  report.segments = std::ssize(segments);
  report.has_intervals = report.segments >= kIntervalSegments;
  report.buckets = CutBuckets(options);
  const int64_t n = options.tokens;
  if (reference == nullptr) {
    OCTET_ASSIGN(const std::vector<double> nlls,
                 TokenNlls(model, stream.tokens, stream.windows, options.threads, progress));
    for (ContextBucket& b : report.buckets) {
      b.perplexity = Exp(Mean(std::span(nlls), b, n, [](double nll) { return nll; }));
    }
    return report;
  }
  OCTET_ASSIGN(const auto compared, CompareTokens(reference, {&model, 1}, stream.tokens,
                                                  stream.windows, options.threads, progress));
  const std::span<const RowComparison> rows(compared[0]);
  using Row = RowComparison;
  for (ContextBucket& b : report.buckets) {
    b.perplexity = Exp(Mean(rows, b, n, [](const Row& r) { return r.candidate_nll; }));
    b.reference_perplexity = Exp(Mean(rows, b, n, [](const Row& r) { return r.reference_nll; }));
    b.ratio = Exp(Mean(rows, b, n, [](const Row& r) { return r.candidate_nll - r.reference_nll; }));
    b.kl = Mean(rows, b, n, [](const Row& r) { return r.kl; });
  }
  return report;
}

}  // namespace octet
