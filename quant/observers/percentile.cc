#include <algorithm>
#include <cassert>
#include <cmath>

#include "quant/observers/clip.h"

namespace octet {
namespace {

constexpr double kRate = 0.01;

double Quantile(double alpha, std::vector<float>* v) {
  const double position = alpha * static_cast<double>(v->size() - 1);
  const double below = std::floor(position);
  const auto at = v->begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(v->begin(), at, v->end());
  const auto low = static_cast<double>(*at);
  if (position == below) return low;
  const auto high = static_cast<double>(*std::min_element(at + 1, v->end()));
  return low + (position - below) * (high - low);
}

double MovingAverage(const std::vector<double>& clips) {
  double m = clips[0];
  for (const double clip : clips) {
    m += kRate * (clip - m);
  }
  return m;
}

}  // namespace

std::unique_ptr<Observer> MakePercentileObserver(ScaleAxis axis, int64_t scales, double alpha) {
  assert(alpha >= 0 && alpha <= 1);
  return std::make_unique<ClipObserver>(
      axis, scales, [alpha](std::vector<float>* v) { return Quantile(alpha, v); }, MovingAverage);
}

}  // namespace octet
