// What the tests of eval/ share: the model of the repository and a text for it.
#ifndef OCTET_EVAL_TEST_MODEL_H_
#define OCTET_EVAL_TEST_MODEL_H_

#include <memory>
#include <vector>

#include "base/rng.h"
#include "runtime/model.h"

namespace octet {

inline std::shared_ptr<const Model> LoadBooks() {
  auto model = Model::Load("models/books-mamba2-5m", {});
  return model.ok() ? *model : nullptr;
}

inline std::vector<TokenId> RandomTokens(const Model& model, int64_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<TokenId> tokens;
  for (int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<TokenId>(rng.Below(static_cast<uint64_t>(model.vocab_rows()))));
  }
  return tokens;
}

}  // namespace octet
#endif  // OCTET_EVAL_TEST_MODEL_H_
