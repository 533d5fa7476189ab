#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/shared.h"
#include "eval/compare.h"

namespace octet::cli {
namespace {

Json Interval(const Estimate& e) {
  return Json(Json::Array{Json(e.low), Json(e.high)});
}

Json ToJson(const CompareReport& r, int64_t dropped) {
  Json j = Json::MakeObject();
  j.Set("kl_mean", r.kl_mean.value);
  j.Set("kl_mean_ci95", Interval(r.kl_mean));
  j.Set("kl_p50", r.kl_p50);
  j.Set("kl_p99", r.kl_p99);
  j.Set("kl_max", r.kl_max);
  j.Set("top1_agreement", r.top1_agreement);
  j.Set("perplexity_ratio", r.perplexity_ratio.value);
  j.Set("perplexity_ratio_ci95", Interval(r.perplexity_ratio));
  j.Set("reference_perplexity", r.reference_perplexity);
  j.Set("candidate_perplexity", r.candidate_perplexity);
  j.Set("tokens", r.tokens);
  j.Set("dropped_tokens", dropped);
  j.Set("windows", r.windows);
  return j;
}

std::string ToText(const CompareReport& r, int64_t dropped) {
  const auto value = FormatDecimals;
  return fmt::format(
      "KL(reference || candidate)  mean {} nats [{}, {}],\n"
      "                            median {}, 99 % {}, max {}\n"
      "same most likely token      {}\n"
      "perplexity                  {:.4f} -> {:.4f}, ratio {:.5f} [{:.5f}, {:.5f}]\n"
      "scored                      {} in {}; intervals: 95 %\n{}",
      value(r.kl_mean.value), value(r.kl_mean.low), value(r.kl_mean.high), value(r.kl_p50),
      value(r.kl_p99), value(r.kl_max), FormatPercent(r.top1_agreement), r.reference_perplexity,
      r.candidate_perplexity, r.perplexity_ratio.value, r.perplexity_ratio.low,
      r.perplexity_ratio.high, FormatNumber(r.tokens, "token"), FormatNumber(r.windows, "window"),
      dropped == 0 ? "" : fmt::format("not scored                  {}\n", DroppedText(dropped)));
}

}  // namespace

Status Run(const CompareCommand& c) {
  OCTET_ASSIGN(const auto reference, LoadModel(c.reference, c.chunk_size));
  OCTET_ASSIGN(const auto candidate, LoadModel(c.candidate, c.chunk_size));
  OCTET_ASSIGN(const std::vector<TokenId> tokens, LoadTokens(c.text, *reference));
  OCTET_TRY(CheckSameTokens(tokens, c.text, *reference, *candidate));
  OCTET_TRY(CheckWindow(c.text, std::ssize(tokens)));
  const WindowOptions windows = MakeWindowOptions(c.text, c.threads);
  ProgressBar bar;
  OCTET_ASSIGN(const CompareReport r,
               Compare(reference, candidate, tokens, c.text.path, windows, bar.Callback()));
  const int64_t dropped = DroppedTokens(std::ssize(tokens), windows);
  if (c.json) {
    PrintJson("compare", ToJson(r, dropped));
  } else {
    Print(ToText(r, dropped));
  }
  return {};
}

}  // namespace octet::cli
