#include "io/labeled_images.h"

#include <fmt/format.h>

namespace octet {

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
