#include "eval/logits.h"

#include <algorithm>
#include <cmath>

namespace octet {

double LogSumExp(std::span<const float> row) {
  const double peak = static_cast<double>(*std::ranges::max_element(row));
  double sum = 0;
  for (const float v : row) {
    sum += std::exp(static_cast<double>(v) - peak);
  }
  return peak + std::log(sum);
}

double NegativeLogLikelihood(std::span<const float> row, int64_t target) {
  return LogSumExp(row) - static_cast<double>(row[static_cast<size_t>(target)]);
}

RowComparison CompareRows(std::span<const float> reference, std::span<const float> candidate,
                          int64_t target) {
  const double reference_norm = LogSumExp(reference);
  const double candidate_norm = LogSumExp(candidate);
  double kl = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double log_p = static_cast<double>(reference[i]) - reference_norm;
    const double log_q = static_cast<double>(candidate[i]) - candidate_norm;
    kl += std::exp(log_p) * (log_p - log_q);
  }
  RowComparison r;
  r.reference_nll = reference_norm - static_cast<double>(reference[static_cast<size_t>(target)]);
  r.candidate_nll = candidate_norm - static_cast<double>(candidate[static_cast<size_t>(target)]);
  // Rounding can leave a sum of about -1e-16 for equal rows; a NaN stays one.
  r.kl = kl < 0 ? 0 : kl;
  r.same_top = std::ranges::max_element(reference) - reference.begin() ==
               std::ranges::max_element(candidate) - candidate.begin();
  return r;
}

}  // namespace octet
