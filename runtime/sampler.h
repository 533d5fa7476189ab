// Choosing the next token.
#ifndef OCTET_RUNTIME_SAMPLER_H_
#define OCTET_RUNTIME_SAMPLER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/rng.h"
#include "base/status.h"
#include "exec/interpreter.h"

namespace octet {

struct SamplingOptions {
  double temperature = 0.8;  // 0: always the most likely token
  int64_t top_k = 0;         // keep the k most likely tokens; 0: all
  double top_p = 1.0;        // then keep the smallest set whose probability reaches p
  uint64_t seed = 0;
};

// Deterministic for a seed; ties go to the smaller id. Not thread-safe.
class Sampler {
 public:
  // kInvalidArgument for a negative or non-finite temperature, negative top_k, or top_p outside
  // (0, 1].
  static Result<Sampler> Create(const SamplingOptions& options);

  // A token among the first `vocab` entries of `logits` (rows beyond the tokenizer's ids are
  // padding and are never sampled). kInternal when the logits are not finite.
  Result<TokenId> Sample(std::span<const float> logits, int64_t vocab);

 private:
  explicit Sampler(const SamplingOptions& options) : options_(options), rng_(options.seed) {}
  SamplingOptions options_;
  Rng rng_;
  std::vector<std::pair<float, TokenId>> candidates_;  // reused between calls
};

}  // namespace octet
#endif  // OCTET_RUNTIME_SAMPLER_H_
