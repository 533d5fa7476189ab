#include "apps/cli/continuation.h"

#include <algorithm>
#include <iterator>

#include "runtime/session.h"

namespace octet::cli {

Result<Continuation> Continue(const std::shared_ptr<const Model>& model,
                              std::span<const TokenId> prompt, int64_t count, Sampler* sampler,
                              int threads, const TextSink& sink) {
  OCTET_ASSIGN(const Tokenizer tokenizer, model->tokenizer());
  Session session(model, std::make_shared<ThreadPool>(threads));
  std::vector<float> logits(static_cast<size_t>(model->vocab_rows()));
  OCTET_TRY(session.Feed(prompt, logits));
  StreamDecoder decoder(tokenizer);
  Continuation out;
  const auto emit = [&](const std::string& piece) -> Status {
    out.text += piece;
    return sink && !piece.empty() ? sink(piece) : Status();
  };
  while (std::ssize(out.tokens) < count) {
    OCTET_ASSIGN(const TokenId next, sampler->Sample(logits, tokenizer.size()));
    out.ended = std::ranges::count(model->eos(), next) > 0;
    if (out.ended) break;
    out.tokens.push_back(next);
    OCTET_TRY(emit(decoder.Push(next)));
    if (std::ssize(out.tokens) < count) {
      OCTET_TRY(session.Feed(std::span(out.tokens).last(1), logits));
    }
  }
  OCTET_TRY(emit(decoder.Flush()));
  return out;
}

}  // namespace octet::cli
