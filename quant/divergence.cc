#include "quant/divergence.h"

#include <algorithm>
#include <cmath>

namespace octet {
namespace {

double LogSumExp(const float* row, int64_t n) {
  const auto peak = static_cast<double>(*std::max_element(row, row + n));
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    sum += std::exp(static_cast<double>(row[i]) - peak);
  }
  return peak + std::log(sum);
}

}  // namespace

double RowKl(const float* reference, const float* candidate, int64_t vocab) {
  const double zr = LogSumExp(reference, vocab), zc = LogSumExp(candidate, vocab);
  double kl = 0;
  for (int64_t i = 0; i < vocab; ++i) {
    const double lr = static_cast<double>(reference[i]) - zr;
    kl += std::exp(lr) * (lr - (static_cast<double>(candidate[i]) - zc));
  }
  return kl < 0 ? 0 : kl;  // a NaN stays one
}

}  // namespace octet
