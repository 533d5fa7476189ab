#include "eval/drift.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/logits.h"
#include "runtime/session.h"

namespace octet {
namespace {

constexpr int64_t kProgressTokens = 64;

double StateError(const State& reference, const State& other, int layers) {
  double error = 0, power = 0;
  for (int layer = 0; layer < layers; ++layer) {
    const std::vector<float> want = reference.Values(layer), got = other.Values(layer);
    for (size_t i = 0; i < want.size(); ++i) {
      const double difference = static_cast<double>(got[i]) - static_cast<double>(want[i]);
      error += difference * difference;
      power += static_cast<double>(want[i]) * static_cast<double>(want[i]);
    }
  }
  return power > 0 ? std::sqrt(error / power) : 0;
}

}  // namespace

Result<std::shared_ptr<const Model>> WithState(const Model& model, const StateFormat& format) {
  Graph graph = model.graph();
  graph.state = format;
  if (!format.static_scales()) graph.state_scales = nullptr;
  const Result<Tokenizer> tokenizer = model.tokenizer();
  return Model::Create(std::move(graph), model.weights(), model.config(),
                       tokenizer.ok() ? std::optional(*tokenizer) : std::nullopt, {});
}

Result<DriftReport> MeasureDrift(const std::shared_ptr<const Model>& model,
                                 std::span<const TokenId> tokens, int threads,
                                 const Progress& progress) {
  const StateFormat& format = model->graph().state;
  if (format.codec == StateCodec::kF32) {
    return InvalidArgument("the model keeps its state in f32, so there is no drift to measure");
  }
  if (tokens.empty()) return InvalidArgument("there are no tokens to decode");
  OCTET_ASSIGN(const auto reference, WithState(*model, {}));
  const auto pool = std::make_shared<ThreadPool>(threads);
  Session exact(reference, pool), rounded(model, pool);
  DriftReport report;
  report.format = ToText(format);
  report.bytes = rounded.state().bytes();
  report.fp32_bytes = exact.state().bytes();
  const auto vocab = static_cast<size_t>(model->vocab_rows());
  std::vector<float> want(vocab), got(vocab);
  const int64_t count = std::ssize(tokens);
  for (int64_t first = 0; first < count; first = report.buckets.back().last) {
    DriftBucket bucket;
    bucket.first = first;
    bucket.last = std::min(count, std::max<int64_t>(1, 2 * first));
    const auto size = static_cast<double>(bucket.last - first);
    for (int64_t t = first; t < bucket.last; ++t) {
      const auto token = tokens.subspan(static_cast<size_t>(t), 1);
      OCTET_TRY(exact.Feed(token, want));
      OCTET_TRY(rounded.Feed(token, got));
      const RowComparison row = CompareRows(want, got, 0);
      if (!std::isfinite(row.kl)) {
        return Internal(fmt::format("the logits after token {} are not finite", t));
      }
      bucket.kl_mean += row.kl / size;
      bucket.kl_max = std::max(bucket.kl_max, row.kl);
      bucket.top1_agreement += (row.same_top ? 1.0 : 0.0) / size;
      if (progress && (t + 1 == count || (t + 1) % kProgressTokens == 0)) {
        progress("decoding with both states", t + 1, count);
      }
    }
    bucket.state_error = StateError(exact.state(), rounded.state(), model->graph().layers);
    report.buckets.push_back(bucket);
  }
  return report;
}

}  // namespace octet
