#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/shared.h"
#include "eval/perplexity.h"

namespace octet::cli {

Status Run(const PerplexityCommand& c) {
  OCTET_ASSIGN(const auto model, LoadModel(c.model, c.chunk_size));
  OCTET_ASSIGN(const std::vector<TokenId> tokens, LoadTokens(c.text, *model));
  OCTET_TRY(CheckWindow(c.text, std::ssize(tokens)));
  const WindowOptions windows = MakeWindowOptions(c.text, c.threads);
  const int64_t dropped = DroppedTokens(std::ssize(tokens), windows);
  ProgressBar bar;
  OCTET_ASSIGN(const PerplexityReport report,
               Perplexity(model, tokens, c.text.path, windows, bar.Callback()));
  if (c.json) {
    Json j = Json::MakeObject();
    j.Set("perplexity", report.perplexity);
    j.Set("nll_per_token", report.nll_per_token);
    j.Set("tokens", report.tokens);
    j.Set("bits_per_byte", report.bits_per_byte);
    j.Set("dropped_tokens", dropped);
    j.Set("windows", report.windows);
    j.Set("window", windows.window);
    j.Set("stride", windows.stride);
    PrintJson("evaluate.perplexity", std::move(j));
    return {};
  }
  Print(
      fmt::format("perplexity     {:.4f} per token\n"
                  "nll            {:.6f} nats per token\n"
                  "bits per byte  {:.4f}\n"
                  "scored         {} in {} of {}, stride {}\n{}",
                  report.perplexity, report.nll_per_token, report.bits_per_byte,
                  FormatNumber(report.tokens, "token"), FormatNumber(report.windows, "window"),
                  windows.window, windows.stride,
                  dropped == 0 ? "" : fmt::format("not scored     {}\n", DroppedText(dropped))));
  return {};
}

}  // namespace octet::cli
