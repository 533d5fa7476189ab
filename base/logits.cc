#include "base/logits.h"

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

namespace {

double Divergence(std::span<const float> reference, double reference_norm,
                  std::span<const float> candidate, double candidate_norm) {
  double kl = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double log_p = static_cast<double>(reference[i]) - reference_norm;
    const double log_q = static_cast<double>(candidate[i]) - candidate_norm;
    kl += std::exp(log_p) * (log_p - log_q);
  }
  // Rounding can leave a sum of about -1e-16 for equal rows; a NaN stays one.
  return kl < 0 ? 0 : kl;
}

}  // namespace

double Entropy(std::span<const float> row) {
  const double norm = LogSumExp(row);
  double sum = 0;
  for (const float v : row) {
    const double log_p = static_cast<double>(v) - norm;
    sum -= std::exp(log_p) * log_p;
  }
  return sum;
}

double KlDivergence(std::span<const float> reference, std::span<const float> candidate) {
  return Divergence(reference, LogSumExp(reference), candidate, LogSumExp(candidate));
}

RowComparison CompareRows(std::span<const float> reference, std::span<const float> candidate,
                          int64_t target) {
  const double reference_norm = LogSumExp(reference);
  const double candidate_norm = LogSumExp(candidate);
  RowComparison r;
  r.reference_nll = reference_norm - static_cast<double>(reference[static_cast<size_t>(target)]);
  r.candidate_nll = candidate_norm - static_cast<double>(candidate[static_cast<size_t>(target)]);
  r.kl = Divergence(reference, reference_norm, candidate, candidate_norm);
  r.same_top = std::ranges::max_element(reference) - reference.begin() ==
               std::ranges::max_element(candidate) - candidate.begin();
  return r;
}

}  // namespace octet
