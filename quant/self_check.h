// Whether a freshly quantized model is what it should be.
#ifndef OCTET_QUANT_SELF_CHECK_H_
#define OCTET_QUANT_SELF_CHECK_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/parallel.h"
#include "base/status.h"
#include "exec/simulate.h"
#include "quant/recipe.h"

namespace octet {

struct SelfCheckReport {
  // Integer run against simulated run over the reference kernels, on the first tokens of the check
  // text: number of logits whose bits differ (must be 0).
  int64_t simulated_mismatches = 0;
  int64_t simulated_tokens = 0;
  // Quantized against float, on the whole check text.
  int64_t tokens = 0;
  double kl_mean = 0;         // mean KL(float || quantized) per token, nats
  double top1_agreement = 0;  // share of positions with the same most likely token
  double uniform_kl = 0;      // KL(float || uniform), what a model that knows nothing would have
  bool finite = true;
  std::map<std::string, Saturation, std::less<>> saturation;  // by site, over the simulated tokens

  // The reasons why the result is broken; empty when it is fine. Broken: logits that are not
  // finite, any simulated mismatch, mean KL above 1 nat or above half of uniform_kl.
  std::vector<std::string> Failures() const;
  // Sites where more than one value in a thousand saturates, for a warning.
  std::vector<std::string> SaturatedSites() const;
  Json ToJson() const;
};

// Runs the checks on `text`, a slice that calibration did not see (at least 2 tokens).
Result<SelfCheckReport> SelfCheck(const Graph& float_graph, const WeightMap& float_weights,
                                  const QuantizedModel& quantized, const std::vector<TokenId>& text,
                                  ThreadPool* pool, const Progress& progress);

// The kl_mean of that check alone.
Result<double> MeanKl(const Graph& float_graph, const WeightMap& float_weights,
                      const QuantizedModel& quantized, const std::vector<TokenId>& text,
                      ThreadPool* pool);

}  // namespace octet
#endif  // OCTET_QUANT_SELF_CHECK_H_
