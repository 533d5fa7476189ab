// A plan whose matrices have the widths that serve the model best under a limit.
#ifndef OCTET_QUANT_AUTO_RECIPE_H_
#define OCTET_QUANT_AUTO_RECIPE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/parallel.h"
#include "base/status.h"
#include "quant/recipe.h"
#include "quant/sensitivity.h"

namespace octet {

// Exactly one of the two is set.
struct AutoLimit {
  std::optional<int64_t> budget_bytes;  // the most that all stored tensors may take; > 0
  std::optional<double> max_kl;         // the most that mean KL may be, nats per token; > 0
};

// A set of widths that was quantized and measured.
struct AutoAttempt {
  bool uniform = false;  // one width for the matrices of all blocks
  int64_t bytes = 0;     // of all stored tensors
  double kl = 0;         // on the check text
  Json ToJson() const;
};

struct AutoResult {
  RecipeRun run;  // "auto": the plan of the winner
  QuantizedModel model;
  AutoAttempt winner;
  std::vector<AutoAttempt> attempts;  // in their order, the winner among them
};

// The text of a search: what calibrates and what attempts are measured on.
struct AutoText {
  const TokenDataset& calibration;
  const Json& record;                 // of the calibration text, as for Quantize
  const std::vector<TokenId>& check;  // that calibration does not see
};

// Measures the sensitivity of every matrix at 4 and 8 bits on `sensitivity_sample` of the
// calibration text, chooses 4, 8 or 16 bits for each by quant/allocate.h, and everything else as
// `base` has it; quantizes that, 4-bit matrices by GPTQ, and measures bytes and mean KL on the
// check text. Predictions are then repaired by what was measured, at most four times: the bytes of
// what is no matrix, and the ratio of measured to predicted KL.
//   budget: the best uniform assignment that fits is quantized and measured as well; the least KL
//   of
//     all that fit wins.
//   max_kl: the fewest bytes of all within the limit win.
// Sites and the other options of `base` stay. Alpha of a base that sweeps it is chosen once.
// kInvalidArgument when the limit cannot be kept, saying what can; errors of Quantize.
Result<AutoResult> FindAutoRecipe(const RecipeRun& base, const AutoLimit& limit, const Graph& graph,
                                  const WeightMap& weights, const AutoText& text, ThreadPool* pool,
                                  const Progress& progress);

}  // namespace octet
#endif  // OCTET_QUANT_AUTO_RECIPE_H_
