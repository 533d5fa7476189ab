#include "io/labeled_images.h"

#include <fmt/format.h>

namespace octet {

Status CheckLabels(std::span<const uint8_t> labels, int classes) {
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < classes) continue;
    return Corrupt(
        fmt::format("the label of image {} is {}, not 0 to {}", i, labels[i], classes - 1));
  }
  return {};
}

}  // namespace octet
