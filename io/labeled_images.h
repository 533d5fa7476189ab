// A set of images of one size, each with its class.
#ifndef OCTET_IO_LABELED_IMAGES_H_
#define OCTET_IO_LABELED_IMAGES_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"

namespace octet {

struct LabeledImages {
  int64_t count = 0, rows = 0, cols = 0, channels = 0;  // each at least 1
  std::vector<uint8_t> pixels;  // [count, rows, cols, channels], as stored: 0 to 255
  std::vector<uint8_t> labels;  // [count]
};

// Images [first, first + count) of the set, which has them.
LabeledImages Slice(const LabeledImages& images, int64_t first, int64_t count);

// How a pixel becomes a frame: (value / 255 - mean) / std, by channel.
struct PixelScale {
  std::vector<float> mean, std;
};

// kInvalidArgument unless there is a finite mean and a finite, positive deviation for each channel.
Status CheckScale(const PixelScale& scale, int64_t channels);

// The frames [rows * cols, channels] of image i, in row order, under a scale that CheckScale
// accepts.
std::vector<float> FramesOf(const LabeledImages& images, int64_t i, const PixelScale& scale);

// kCorrupt, naming the index and the value, for the first label that is not below `classes`.
Status CheckLabels(std::span<const uint8_t> labels, int classes);

}  // namespace octet
#endif  // OCTET_IO_LABELED_IMAGES_H_
