#include "eval/requests.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>

#include "base/json.h"
#include "base/logits.h"
#include "text/python_string.h"

namespace octet {
namespace {

constexpr int64_t kMaxConfigBytes = int64_t{16} << 20;
// Rows of logits that are cheaper to compute in vain than another pass over the weights.
constexpr int64_t kRowsInVain = 16;

// "token", or {"content": "token"}.
std::optional<std::string> TokenText(const Json& config, const char* key) {
  const Json* token = config.Find(key);
  if (token != nullptr && token->is_object()) token = token->Find("content");
  if (token == nullptr || !token->is_string()) return std::nullopt;
  return token->AsString();
}

// Tokens that all inputs start with. The last token of a request is no input.
int64_t CommonPrefix(std::span<const Request> requests) {
  const std::vector<TokenId>& first = requests[0].tokens;
  auto end = first.end() - 1;
  for (const Request& r : requests.subspan(1)) {
    end = std::mismatch(first.begin(), end, r.tokens.begin(), r.tokens.end() - 1).first;
  }
  return end - first.begin();
}

// Position whose logits tell of the first token of the continuation.
int64_t FirstScored(const Request& r) {
  return std::ssize(r.tokens) - r.scored - 1;
}

}  // namespace

Result<TokenId> PrefixToken(const Model& model) {
  OCTET_ASSIGN(const Tokenizer tokenizer, model.tokenizer());
  for (const char* key : {"bos_token", "eos_token"}) {
    for (const char* file : {"tokenizer_config.json", "special_tokens_map.json"}) {
      const std::filesystem::path path = std::filesystem::path(model.folder()) / file;
      std::error_code error;
      if (model.folder().empty() || !std::filesystem::exists(path, error)) continue;
      OCTET_ASSIGN(const Json config, Json::ParseFile(path.string(), kMaxConfigBytes));
      const std::optional<std::string> text = TokenText(config, key);
      if (!text) continue;
      if (const auto id = tokenizer.Find(*text)) return *id;
    }
  }
  if (!model.eos().empty()) return model.eos().front();
  return NotFound(model.folder() +
                  ": nothing tells which token ends a text (bos_token or "
                  "eos_token in tokenizer_config.json, or eos_token_id in config.json)");
}

Result<Request> EncodeRequest(const Tokenizer& tokenizer, std::optional<TokenId> prefix,
                              const Prompt& prompt, int64_t max_tokens) {
  Request r;
  int64_t context = 1;
  if (prompt.context.empty()) {
    if (!prefix) return InvalidArgument("the context is empty, and no token stands for it");
    r.tokens = tokenizer.Encode(prompt.continuation);
    if (r.tokens.empty() || r.tokens[0] != prefix) r.tokens.insert(r.tokens.begin(), *prefix);
  } else {
    const std::string_view stripped = StripRight(prompt.context);
    if (stripped.empty()) return InvalidArgument("the context has nothing but blanks");
    std::vector<TokenId> head = tokenizer.Encode(stripped);
    const std::vector<TokenId> whole = tokenizer.Encode(prompt.context + prompt.continuation);
    context = std::ssize(head);
    r.tokens = std::move(head);
    if (std::ssize(whole) > context) {
      r.tokens.insert(r.tokens.end(), whole.begin() + context, whole.end());
    }
  }
  r.scored = std::ssize(r.tokens) - context;
  if (r.scored < 1) return InvalidArgument("no token is left to the continuation");
  if (r.scored > max_tokens) {
    return InvalidArgument(
        fmt::format("the continuation has {} tokens; {} are possible", r.scored, max_tokens));
  }
  if (const int64_t extra = std::ssize(r.tokens) - (max_tokens + 1); extra > 0) {
    r.tokens.erase(r.tokens.begin(), r.tokens.begin() + extra);
  }
  return r;
}

Scorer::Scorer(std::shared_ptr<const Model> model, std::shared_ptr<ThreadPool> pool)
    : session_(model, std::move(pool)),
      empty_(model->graph()),
      row_(static_cast<size_t>(model->vocab_rows())) {}

// Feeds the tokens and calls `sink` with the logits of positions from `first_scored` on, which
// count from the first of them.
Status Scorer::Feed(std::span<const TokenId> tokens, int64_t first_scored,
                    const std::function<void(int64_t, std::span<const float>)>& sink) {
  int64_t begin = 0;
  if (first_scored >= kRowsInVain && first_scored < std::ssize(tokens)) {
    begin = first_scored + 1;
    OCTET_TRY(session_.Feed(tokens.first(static_cast<size_t>(begin)), row_));
    sink(first_scored, row_);
  }
  if (begin == std::ssize(tokens)) return {};
  const auto rest = tokens.subspan(static_cast<size_t>(begin));
  if (first_scored >= std::ssize(tokens)) return session_.FeedAll(rest, {});
  return session_.FeedAll(rest, [&](int64_t first, int64_t rows, const float* logits) {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t position = begin + first + r;
      if (position < first_scored) continue;
      sink(position, {logits + static_cast<size_t>(r) * row_.size(), row_.size()});
    }
  });
}

Result<std::vector<Score>> Scorer::Run(std::span<const Request> requests) {
  std::vector<Score> scores(requests.size(), Score{0, true});
  if (requests.empty()) return scores;
  int64_t shared = CommonPrefix(requests);
  for (const Request& r : requests) {
    shared = std::min(shared, FirstScored(r) + 1);
  }
  const auto score = [&](size_t i, int64_t position, std::span<const float> row) {
    const Request& r = requests[i];
    if (position < FirstScored(r)) return;
    const TokenId target = r.tokens[static_cast<size_t>(position) + 1];
    scores[i].log_likelihood -= NegativeLogLikelihood(row, target);
    scores[i].is_greedy &= std::ranges::max_element(row) - row.begin() == target;
  };
  session_.Restore(empty_);
  if (shared > 0) {
    const auto prefix = std::span(requests[0].tokens).first(static_cast<size_t>(shared));
    OCTET_TRY(Feed(prefix, shared - 1, [&](int64_t position, std::span<const float> row) {
      for (size_t i = 0; i < requests.size(); ++i) {
        score(i, position, row);
      }
    }));
  }
  if (requests.size() > 1) fork_ = session_.state();
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto rest = std::span(requests[i].tokens).subspan(static_cast<size_t>(shared));
    if (rest.size() <= 1) continue;
    if (i > 0) session_.Restore(fork_);
    const int64_t first = std::max<int64_t>(0, FirstScored(requests[i]) - shared);
    OCTET_TRY(Feed(
        rest.first(rest.size() - 1), first,
        [&](int64_t position, std::span<const float> row) { score(i, shared + position, row); }));
  }
  for (const Score& s : scores) {
    if (!std::isfinite(s.log_likelihood)) {
      return Internal("the model gives logits that are not finite");
    }
  }
  return scores;
}

}  // namespace octet
