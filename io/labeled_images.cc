#include "io/labeled_images.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace octet {

LabeledImages Slice(const LabeledImages& images, int64_t first, int64_t count) {
  const int64_t size = images.rows * images.cols * images.channels;
  const auto pixels = images.pixels.begin() + first * size;
  const auto labels = images.labels.begin() + first;
  return {count,
          images.rows,
          images.cols,
          images.channels,
          {pixels, pixels + count * size},
          {labels, labels + count}};
}

Status CheckScale(const PixelScale& scale, int64_t channels) {
  if (std::ssize(scale.mean) != channels || std::ssize(scale.std) != channels) {
    return InvalidArgument(
        fmt::format("the images have {} channels, but there are {} means and {} deviations",
                    channels, scale.mean.size(), scale.std.size()));
  }
  const auto is_finite = [](float v) { return std::isfinite(v); };
  if (!std::ranges::all_of(scale.mean, is_finite) || !std::ranges::all_of(scale.std, is_finite) ||
      std::ranges::any_of(scale.std, [](float v) { return v <= 0; })) {
    return InvalidArgument("means must be finite, deviations positive");
  }
  return {};
}

std::vector<float> FramesOf(const LabeledImages& images, int64_t i, const PixelScale& scale) {
  const int64_t size = images.rows * images.cols * images.channels;
  std::vector<float> frames(static_cast<size_t>(size));
  for (int64_t p = 0; p < size; ++p) {
    const auto c = static_cast<size_t>(p % images.channels);
    const auto value = static_cast<float>(images.pixels[static_cast<size_t>(i * size + p)]);
    frames[static_cast<size_t>(p)] = (value / 255.0f - scale.mean[c]) / scale.std[c];
  }
  return frames;
}

Status CheckLabels(std::span<const uint8_t> labels, int classes) {
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < classes) continue;
    return Corrupt(
        fmt::format("the label of image {} is {}, not 0 to {}", i, labels[i], classes - 1));
  }
  return {};
}

}  // namespace octet
