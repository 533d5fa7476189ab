#include <algorithm>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/shared.h"
#include "eval/drift.h"

namespace octet::cli {
namespace {

// The first `count` tokens of the text, or of what the model writes when there is none.
Result<std::vector<TokenId>> Tokens(const DriftCommand& c,
                                    const std::shared_ptr<const Model>& model,
                                    const Progress& progress) {
  const auto count = static_cast<size_t>(c.tokens);
  if (c.text.empty()) {
    OCTET_ASSIGN(std::vector<TokenDocument> written,
                 GenerateText(model, {1, std::max<int64_t>(2, c.tokens), 0, c.threads}, progress));
    written[0].resize(count);
    return std::move(written[0]);
  }
  OCTET_ASSIGN(std::vector<TokenId> tokens, LoadTokens({.path = c.text}, *model));
  if (tokens.size() < count) {
    return InvalidArgument(fmt::format("{}: the text has {} tokens, fewer than the {} to decode",
                                       c.text, tokens.size(), count));
  }
  tokens.resize(count);
  return tokens;
}

Json ToJson(const DriftReport& r) {
  Json buckets = Json::MakeArray();
  for (const DriftBucket& b : r.buckets) {
    Json bucket = Json::MakeObject();
    bucket.Set("first", b.first);
    bucket.Set("last", b.last);
    bucket.Set("kl_mean", b.kl_mean);
    bucket.Set("kl_max", b.kl_max);
    bucket.Set("top1_agreement", b.top1_agreement);
    bucket.Set("state_error", b.state_error);
    buckets.Append(std::move(bucket));
  }
  Json j = Json::MakeObject();
  j.Set("state", r.format);
  j.Set("state_bytes_per_stream", r.bytes);
  j.Set("fp32_state_bytes_per_stream", r.fp32_bytes);
  j.Set("buckets", std::move(buckets));
  return j;
}

}  // namespace

Status Run(const DriftCommand& c) {
  OCTET_ASSIGN(auto model, LoadModel(c.model, 0));
  if (!c.state.empty()) {
    OCTET_ASSIGN(const StateFormat format, ParseStateFormat(c.state));
    OCTET_ASSIGN(model, WithState(*model, format));
  }
  if (model->graph().state.codec == StateCodec::kF32) {
    return InvalidArgument(fmt::format(
        "{}: the state is f32, so there is no drift to measure; --state i8 tries a format",
        c.model));
  }
  ProgressBar bar;
  OCTET_ASSIGN(const std::vector<TokenId> tokens, Tokens(c, model, bar.Callback()));
  Result<DriftReport> report = MeasureDrift(model, tokens, c.threads, bar.Callback());
  if (!report.ok()) return report.status().Annotate(c.model);
  if (c.json) {
    PrintJson("evaluate.drift", ToJson(*report));
    return {};
  }
  std::string text = fmt::format(
      "state {} against f32, {} and {} per stream, decoded token by token\n\n"
      "{:>15}  {:>11}  {:>11}  {:>10}  {:>11}\n",
      report->format, FormatBytes(report->bytes), FormatBytes(report->fp32_bytes), "tokens",
      "KL mean", "KL max", "same top", "state error");
  for (const DriftBucket& b : report->buckets) {
    text += fmt::format("{:>15}  {:>11}  {:>11}  {:>10}  {:>11}\n",
                        fmt::format("{} to {}", b.first, b.last - 1), FormatDecimals(b.kl_mean),
                        FormatDecimals(b.kl_max), FormatPercent(b.top1_agreement),
                        FormatPercent(b.state_error));
  }
  Print(text +
        "\nKL(f32 || format) in nats; state error: relative, over all layers, after the last "
        "token of the row.\n");
  return {};
}

}  // namespace octet::cli
