#include <algorithm>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/protocols.h"
#include "apps/cli/shared.h"
#include "eval/perplexity.h"

namespace octet::cli {
namespace {

struct Measured {
  PerplexityReport report;
  WindowOptions windows;
  int64_t dropped = 0;
};

// CheckWindow where --window cannot help.
Status CheckProtocolWindow(const TextFlags& text, int64_t tokens) {
  if (text.max_tokens > 0) tokens = std::min(tokens, text.max_tokens);
  if (tokens >= text.window) return {};
  return InvalidArgument(
      fmt::format("{}: the text is shorter than a window: it has {}, the protocol's window is {}",
                  text.path, FormatNumber(tokens, "token"), text.window));
}

// The options and GPTQ's protocol, which drop what fills no window.
Result<Measured> MeasureWindows(const std::shared_ptr<const Model>& model, const TextFlags& text,
                                bool fixed, std::span<const TokenId> tokens, int threads,
                                const Progress& progress) {
  OCTET_TRY(fixed ? CheckProtocolWindow(text, std::ssize(tokens))
                  : CheckWindow(text, std::ssize(tokens)));
  Measured m;
  m.windows = MakeWindowOptions(text, threads);
  OCTET_ASSIGN(m.report, Perplexity(model, tokens, text.path, m.windows, progress));
  m.dropped = DroppedTokens(std::ssize(tokens), m.windows);
  return m;
}

Result<Measured> Measure(const std::shared_ptr<const Model>& model, const PerplexityCommand& c,
                         const Progress& progress) {
  if (c.protocol.empty()) {
    OCTET_ASSIGN(const std::vector<TokenId> tokens, LoadTokens(c.text, *model));
    return MeasureWindows(model, c.text, false, tokens, c.threads, progress);
  }
  OCTET_ASSIGN(const Tokenizer tokenizer, model->tokenizer());
  OCTET_ASSIGN(const std::string rows, ReadJoinedRows(c.text.path));
  const std::vector<TokenId> tokens = tokenizer.Encode(rows);
  const bool strided = c.protocol == kStridedProtocol.name;
  const PerplexityProtocol& protocol = strided ? kStridedProtocol : kGptqProtocol;
  TextFlags text = c.text;
  text.window = protocol.window;
  text.stride = protocol.stride;
  if (!strided) return MeasureWindows(model, text, true, tokens, c.threads, progress);
  Measured m;
  m.windows = MakeWindowOptions(text, c.threads);
  OCTET_ASSIGN(m.report, StridedPerplexity(model, tokens, text.path, m.windows, progress));
  return m;
}

// The lines and members that name a preset.
std::string ProtocolText(const PerplexityProtocol& protocol) {
  return fmt::format("protocol       {}\n               {}\n", protocol.name, protocol.reference);
}

Json StartJson(const PerplexityCommand& c, const PerplexityProtocol* protocol) {
  Json j = Json::MakeObject();
  j.Set("model", c.model);
  j.Set("text", c.text.path);
  j.Set("protocol", protocol == nullptr ? "windows" : std::string(protocol->name));
  if (protocol != nullptr) j.Set("reference", std::string(protocol->reference));
  return j;
}

void Report(const PerplexityCommand& c, const Measured& m, const PerplexityProtocol* protocol) {
  const PerplexityReport& r = m.report;
  if (c.json) {
    Json j = StartJson(c, protocol);
    j.Set("perplexity", r.perplexity);
    j.Set("nll_per_token", r.nll_per_token);
    j.Set("tokens", r.tokens);
    j.Set("bits_per_byte", r.bits_per_byte);
    j.Set("dropped_tokens", m.dropped);
    j.Set("windows", r.windows);
    j.Set("window", m.windows.window);
    j.Set("stride", m.windows.stride);
    return PrintJson("evaluate.perplexity", std::move(j));
  }
  Print((protocol == nullptr ? "" : ProtocolText(*protocol)) +
        fmt::format(
            "perplexity     {:.4f} per token\n"
            "nll            {:.6f} nats per token\n"
            "bits per byte  {:.4f}\n"
            "scored         {} in {} of {}, stride {}\n{}",
            r.perplexity, r.nll_per_token, r.bits_per_byte, FormatNumber(r.tokens, "token"),
            FormatNumber(r.windows, "window"), m.windows.window, m.windows.stride,
            m.dropped == 0 ? "" : fmt::format("not scored     {}\n", DroppedText(m.dropped))));
}

void Report(const PerplexityCommand& c, const DocumentReport& r) {
  if (c.json) {
    Json j = StartJson(c, &kDocumentProtocol);
    j.Set("word_perplexity", r.word_perplexity);
    j.Set("byte_perplexity", r.byte_perplexity);
    j.Set("bits_per_byte", r.bits_per_byte);
    j.Set("nll_per_token", r.nll_per_token);
    j.Set("documents", r.documents);
    j.Set("words", r.words);
    j.Set("bytes", r.bytes);
    j.Set("tokens", r.tokens);
    j.Set("windows", r.windows);
    j.Set("window", kDocumentProtocol.window);
    return PrintJson("evaluate.perplexity", std::move(j));
  }
  Print(ProtocolText(kDocumentProtocol) +
        fmt::format("perplexity     {:.4f} per word, {:.6f} per byte\n"
                    "bits per byte  {:.4f}\n"
                    "nll            {:.6f} nats per token\n"
                    "scored         {} in {} of up to {}\n"
                    "counted        {} and {} of {} before detokenizing\n",
                    r.word_perplexity, r.byte_perplexity, r.bits_per_byte, r.nll_per_token,
                    FormatNumber(r.tokens, "token"), FormatNumber(r.windows, "window"),
                    kDocumentProtocol.window, FormatNumber(r.words, "word"),
                    FormatNumber(r.bytes, "byte"), FormatNumber(r.documents, "page")));
}

Status RunDocuments(const std::shared_ptr<const Model>& model, const PerplexityCommand& c) {
  OCTET_ASSIGN(const std::vector<std::string> pages, ReadPages(c.text.path));
  ProgressBar bar;
  const Result<DocumentReport> report = DocumentPerplexity(
      model, ScoredPages(pages), kDocumentProtocol.window, c.threads, bar.Callback());
  if (!report.ok()) return report.status().Annotate(c.model);
  Report(c, *report);
  return {};
}

}  // namespace

Status Run(const PerplexityCommand& c) {
  OCTET_ASSIGN(const auto model, LoadModel(c.model, c.chunk_size));
  if (c.protocol == kDocumentProtocol.name) return RunDocuments(model, c);
  ProgressBar bar;
  OCTET_ASSIGN(const Measured m, Measure(model, c, bar.Callback()));
  const PerplexityProtocol* protocol = c.protocol.empty()                    ? nullptr
                                       : c.protocol == kStridedProtocol.name ? &kStridedProtocol
                                                                             : &kGptqProtocol;
  Report(c, m, protocol);
  return {};
}

}  // namespace octet::cli
