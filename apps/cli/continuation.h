// Writing on from a prompt.
#ifndef OCTET_APPS_CLI_CONTINUATION_H_
#define OCTET_APPS_CLI_CONTINUATION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "runtime/model.h"
#include "runtime/sampler.h"

namespace octet::cli {

struct Continuation {
  std::string text;
  std::vector<TokenId> tokens;  // without the token that ends the text
  bool ended = false;           // by a token that ends the text, not by the count
};

// Receives the pieces of text as they become complete.
using TextSink = std::function<Status(const std::string& piece)>;

// At most `count` tokens after `prompt` (at least one). `sink` may be empty.
Result<Continuation> Continue(const std::shared_ptr<const Model>& model,
                              std::span<const TokenId> prompt, int64_t count, Sampler* sampler,
                              int threads, const TextSink& sink);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_CONTINUATION_H_
