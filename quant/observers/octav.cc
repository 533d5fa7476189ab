#include <algorithm>
#include <cmath>

#include "quant/observers/clip.h"

namespace octet {
namespace {

constexpr double kStepError = 1.0 / (3.0 * 65536.0);  // 4^-b / 3 for b = 8 bits
constexpr int kMaxIterations = 51;                    // about 10 are needed
constexpr double kTolerance = 1e-7;                   // below the 12 bits of a scale

double OctavClip(std::vector<float>* magnitudes) {
  const std::vector<float>& v = *magnitudes;
  double sum = 0;
  for (const float magnitude : v) {
    sum += static_cast<double>(magnitude);
  }
  double t = sum / static_cast<double>(v.size());
  for (int i = 0; i < kMaxIterations; ++i) {
    double above = 0;
    int64_t count = 0;
    for (const float magnitude : v) {
      const auto m = static_cast<double>(magnitude);
      above += m > t ? m : 0;
      count += m > t ? 1 : 0;
    }
    // Equal magnitudes: nothing is worth clipping.
    if (count == 0) return static_cast<double>(*std::ranges::max_element(v));
    const double previous = t;
    const auto within = static_cast<double>(v.size()) - static_cast<double>(count);
    t = above / (within * kStepError + static_cast<double>(count));
    if (std::fabs(t - previous) <= kTolerance * t) break;
  }
  return t;
}

double Mean(const std::vector<double>& clips) {
  double sum = 0;
  for (const double clip : clips) {
    sum += clip;
  }
  return sum / static_cast<double>(clips.size());
}

}  // namespace

std::unique_ptr<Observer> MakeOctavObserver(ScaleAxis axis, int64_t scales) {
  return std::make_unique<ClipObserver>(axis, scales, OctavClip, Mean);
}

}  // namespace octet
