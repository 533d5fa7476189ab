#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/continuation.h"
#include "apps/cli/shared.h"
#include "base/utf8.h"

namespace octet::cli {
namespace {

constexpr size_t kMaxPromptBytes = size_t{64} << 20;

Result<std::string> ReadStandardInput() {
  if (isatty(STDIN_FILENO) == 1) PrintNote("type the prompt, then end it with Ctrl-D");
  std::string text;
  char block[4096];
  while (const size_t n = std::fread(block, 1, sizeof(block), stdin)) {
    text.append(block, n);
    if (text.size() > kMaxPromptBytes) return TooLarge("the prompt is larger than 64 MiB");
  }
  if (std::ferror(stdin) != 0) return IoError("standard input could not be read");
  if (text.ends_with('\n')) text.pop_back();  // which echo adds
  return text;
}

// What is known of a stream appears at once.
Status PrintNow(const std::string& piece) {
  Print(piece);
  return Flush();
}

}  // namespace

Status Run(const GenerateCommand& c) {
  OCTET_ASSIGN(Sampler sampler, Sampler::Create({c.temperature, c.top_k, c.top_p, c.seed}));
  OCTET_ASSIGN(const auto model, LoadModel(c.model, c.chunk_size));
  OCTET_ASSIGN(const Tokenizer tokenizer, model->tokenizer());
  std::string prompt = c.prompt;
  if (prompt == "-") {
    OCTET_ASSIGN(prompt, ReadStandardInput());
  }
  if (const size_t bad = FindIllFormed(prompt); bad != prompt.npos) {
    return InvalidArgument(fmt::format("{}: byte {} is not UTF-8 text",
                                       c.prompt == "-" ? "standard input" : "--prompt", bad));
  }
  const std::vector<TokenId> ids = tokenizer.Encode(prompt);
  if (ids.empty()) return InvalidArgument("the prompt is empty");
  if (!c.json) OCTET_TRY(PrintNow(prompt));
  OCTET_ASSIGN(const Continuation out, Continue(model, ids, c.count, &sampler, c.threads,
                                                c.json ? TextSink() : TextSink(PrintNow)));
  if (!c.json) {
    Print("\n");
    return {};
  }
  Json tokens = Json::MakeArray();
  for (const TokenId id : out.tokens) {
    tokens.Append(static_cast<int64_t>(id));
  }
  Json j = Json::MakeObject();
  j.Set("prompt", tokenizer.Decode(ids, false));  // as the model reads it
  j.Set("prompt_tokens", static_cast<int64_t>(ids.size()));
  j.Set("text", out.text);
  j.Set("tokens", std::move(tokens));
  j.Set("stopped", out.ended ? "end of text" : "length");
  PrintJson("generate", std::move(j));
  return {};
}

}  // namespace octet::cli
