#include <algorithm>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/context_html.h"
#include "apps/cli/shared.h"
#include "eval/context.h"

namespace octet::cli {
namespace {

Result<std::vector<TokenDocument>> Segments(const ContextCommand& c, const TextFile& file,
                                            const Model& model) {
  OCTET_ASSIGN(const Tokenizer tokenizer, model.tokenizer());
  Result<std::vector<TokenDocument>> segments =
      CutSegments(file, tokenizer, c.segments, c.tokens + 1);
  if (segments.status().code() != Code::kInvalidArgument) return segments;
  return InvalidArgument(segments.status().message() + "; --tokens sets how many to score");
}

// The model that --reference names, null without; it must read the text as the model does.
Result<std::shared_ptr<const Model>> LoadReference(const ContextCommand& c, const TextFile& file,
                                                   std::span<const TokenDocument> segments) {
  if (c.reference.empty()) return std::shared_ptr<const Model>();
  OCTET_ASSIGN(std::shared_ptr<const Model> reference, LoadModel(c.reference, 0));
  OCTET_ASSIGN(const std::vector<TokenDocument> own, Segments(c, file, *reference));
  if (!std::ranges::equal(own, segments)) return DifferentTokenizers(c.model, c.reference);
  return reference;
}

void SetEstimate(const std::string& name, const Estimate& e, bool interval, Json* object) {
  object->Set(name, e.value);
  if (interval) object->Set(name + "_ci95", Json(Json::Array{Json(e.low), Json(e.high)}));
}

Json ToJson(const ContextCommand& c, const ContextReport& r) {
  Json buckets = Json::MakeArray();
  for (const ContextBucket& b : r.buckets) {
    Json bucket = Json::MakeObject();
    bucket.Set("first", b.first);
    bucket.Set("last", b.last);
    SetEstimate("perplexity", b.perplexity, r.has_intervals, &bucket);
    if (r.has_reference) {
      SetEstimate("reference_perplexity", b.reference_perplexity, r.has_intervals, &bucket);
      SetEstimate("ratio", b.ratio, r.has_intervals, &bucket);
      SetEstimate("kl_mean", b.kl, r.has_intervals, &bucket);
    }
    buckets.Append(std::move(bucket));
  }
  Json j = Json::MakeObject();
  j.Set("model", c.model);
  if (r.has_reference) j.Set("reference", c.reference);
  j.Set("text", c.text);
  j.Set("protocol", "state-carried");
  j.Set("tokens", c.tokens);
  j.Set("segments", r.segments);
  j.Set("buckets", std::move(buckets));
  return j;
}

std::string ToText(const ContextCommand& c, const ContextReport& r) {
  const auto interval = [&](const Estimate& e, int digits) {
    if (!r.has_intervals) return fmt::format("{:.{}f}", e.value, digits);
    return fmt::format("{:.{}f} [{:.{}f}, {:.{}f}]", e.value, digits, e.low, digits, e.high,
                       digits);
  };
  Table table(r.has_reference
                  ? std::vector<std::string>{"tokens", "perplexity", "reference", "ratio", "KL"}
                  : std::vector<std::string>{"tokens", "perplexity"});
  for (const ContextBucket& b : r.buckets) {
    std::vector<std::string> row = {fmt::format("{} to {}", b.first, b.last - 1)};
    if (r.has_reference) {
      row.push_back(fmt::format("{:.3f}", b.perplexity.value));
      row.push_back(fmt::format("{:.3f}", b.reference_perplexity.value));
      row.push_back(interval(b.ratio, 4));
      row.push_back(FormatDecimals(b.kl.value));
    } else {
      row.push_back(interval(b.perplexity, 3));
    }
    table.Add(row);
  }
  return fmt::format(
      "{} of {}, the state carried from the first token to the last\n\n{}\n{}{}\n",
      FormatNumber(r.segments, "segment"), FormatNumber(c.tokens, "token"), table.Text(),
      r.has_intervals
          ? "95 % intervals draw whole segments."
          : fmt::format("No intervals: they need at least {} segments.", kIntervalSegments),
      r.has_reference ? "\nratio: of both perplexities; KL: nats per token." : "");
}

}  // namespace

Status Run(const ContextCommand& c) {
  const std::vector<std::string> reports = {c.html};
  OCTET_TRY(CheckNotRead(reports, {{c.text}}));
  OCTET_TRY(ProbeReports(c.model, reports));
  if (!c.reference.empty()) OCTET_TRY(ProbeReports(c.reference, reports));
  OCTET_ASSIGN(const auto model, LoadModel(c.model, 0));
  OCTET_ASSIGN(const TextFile file, ReadTextFile(c.text));
  OCTET_ASSIGN(const std::vector<TokenDocument> segments, Segments(c, file, *model));
  OCTET_ASSIGN(const auto reference, LoadReference(c, file, segments));
  ProgressBar bar;
  const Result<ContextReport> report =
      MeasureContext(model, reference, segments, {c.tokens, c.bucket, c.threads}, bar.Callback());
  if (!report.ok()) return report.status().Annotate(c.model);
  if (!c.html.empty()) {
    OCTET_TRY(WriteTextFile(c.html, ContextHtml(*report, c.model, c.reference)));
  }
  if (c.json) {
    PrintJson("evaluate.context", ToJson(c, *report));
  } else {
    Print(ToText(c, *report));
  }
  return {};
}

}  // namespace octet::cli
