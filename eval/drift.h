// How far a quantized recurrent state drifts from an fp32 one while a model decodes.
#ifndef OCTET_EVAL_DRIFT_H_
#define OCTET_EVAL_DRIFT_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "eval/progress.h"
#include "runtime/model.h"

namespace octet {

// Tokens [first, last) of the stream.
struct DriftBucket {
  int64_t first = 0, last = 0;
  double kl_mean = 0, kl_max = 0;  // nats, KL(fp32 state || the format)
  double top1_agreement = 0;       // share of tokens with the same most likely next token
  // |h - h_fp32| / |h_fp32| over all layers, after token `last` - 1: euclidean norms.
  double state_error = 0;
};

struct DriftReport {
  std::string format;                 // of the state (tensor/state_format.h)
  int64_t bytes = 0, fp32_bytes = 0;  // of one stream
  // 1, 2, 4, ... tokens: [0, 1), [1, 2), [2, 4), [4, 8), ...; the last may be short.
  std::vector<DriftBucket> buckets;
};

// The same model with another state format; its static scales, if it has some, stay with a static
// format. kInvalidArgument for a static format without scales.
Result<std::shared_ptr<const Model>> WithState(const Model& model, const StateFormat& format);

// Feeds `tokens` one by one to `model` and to the same model with an fp32 state; everything else is
// alike, so that the difference is the state's. kInvalidArgument when the state is fp32 already,
// when there are no tokens, or for a token outside the vocabulary; kInternal for logits that are
// not finite.
Result<DriftReport> MeasureDrift(const std::shared_ptr<const Model>& model,
                                 std::span<const TokenId> tokens, int threads,
                                 const Progress& progress);

}  // namespace octet
#endif  // OCTET_EVAL_DRIFT_H_
