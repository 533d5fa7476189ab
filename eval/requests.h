// Log-likelihoods of continuations, as lm-evaluation-harness 0.4.13 asks a model for them.
#ifndef OCTET_EVAL_REQUESTS_H_
#define OCTET_EVAL_REQUESTS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "base/status.h"
#include "eval/tasks.h"
#include "exec/state.h"
#include "runtime/model.h"
#include "runtime/session.h"
#include "text/tokenizer.h"

namespace octet {

// Tokens that a model reads at most for one request, more are cut off on the left: the harness's
// default for models without a limit of their own.
inline constexpr int64_t kMaxRequestTokens = 2048;

// Context and continuation, one after the other; tokens [size - scored, size) are the continuation.
struct Request {
  std::vector<TokenId> tokens;  // as EncodeRequest makes it, at most max_tokens + 1
  int64_t scored = 0;           // >= 1, < tokens.size()
  friend bool operator==(const Request&, const Request&) = default;
};

// What stands before a continuation without a context: the bos_token, else the eos_token of the
// folder's tokenizer_config.json or special_tokens_map.json, else the model's own end of text.
// kNotFound when there is none.
Result<TokenId> PrefixToken(const Model& model);

// The harness's TemplateLM._encode_pair: blanks that end the context begin the continuation;
// context and continuation are encoded as one text, which is cut after as many tokens as the
// context alone has. An empty context is the prefix token, unless the continuation starts with it;
// no other context needs `prefix`. kInvalidArgument for an empty context without `prefix`, and
// where the harness stops: a context of blanks only, a continuation that is left without a token,
// or one of more than `max_tokens`.
Result<Request> EncodeRequest(const Tokenizer& tokenizer, std::optional<TokenId> prefix,
                              const Prompt& prompt, int64_t max_tokens = kMaxRequestTokens);

struct Score {
  double log_likelihood = 0;  // of the continuation, nats
  bool is_greedy = false;     // each of its tokens is the most likely one (ties: the smaller id)
};

// Scores requests by one model. Not thread-safe.
class Scorer {
 public:
  Scorer(std::shared_ptr<const Model> model, std::shared_ptr<ThreadPool> pool);

  // The requests of one item. What all of them have in common, up to the last token before a
  // continuation, runs once, and each goes on from a copy of the state. Softmax in double over all
  // vocabulary rows. A score depends on the requests of its item only. Where all of them have the
  // same context, it is that of the request alone, bit for bit: both are cut after the context.
  // Elsewhere it differs from that as Session says of texts that are fed in several calls.
  // kInternal when the model gives logits that are not finite.
  Result<std::vector<Score>> Run(std::span<const Request> requests);

 private:
  Status Feed(std::span<const TokenId> tokens, int64_t first_scored,
              const std::function<void(int64_t position, std::span<const float> row)>& sink);

  Session session_;
  State empty_, fork_;      // before the first token; after what requests share
  std::vector<float> row_;  // [vocab_rows]
};

}  // namespace octet
#endif  // OCTET_EVAL_REQUESTS_H_
