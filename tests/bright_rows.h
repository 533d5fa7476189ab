// Images that a small classifier learns in seconds.
#ifndef OCTET_TESTS_BRIGHT_ROWS_H_
#define OCTET_TESTS_BRIGHT_ROWS_H_

#include <cstdint>

#include "base/rng.h"
#include "io/labeled_images.h"

namespace octet {

// `count` noisy images of 4 by 6 pixels with a bright row; label_of(row) is the class.
template <class Label>
LabeledImages BrightRows(int64_t count, const Label& label_of) {
  Rng rng(1);
  LabeledImages images{count, 4, 6, 1, {}, {}};
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t bright = rng.Below(4);
    for (uint64_t p = 0; p < 24; ++p) {
      images.pixels.push_back(static_cast<uint8_t>((p / 6 == bright ? 150 : 0) + rng.Below(100)));
    }
    images.labels.push_back(static_cast<uint8_t>(label_of(bright)));
  }
  return images;
}

}  // namespace octet
#endif  // OCTET_TESTS_BRIGHT_ROWS_H_
