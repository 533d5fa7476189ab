// Accuracy of a classifier of sequences on labelled images, read pixel by pixel.
#ifndef OCTET_EVAL_CLASSIFY_H_
#define OCTET_EVAL_CLASSIFY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "eval/progress.h"
#include "io/labeled_images.h"
#include "runtime/model.h"

namespace octet {

struct ClassifyOptions {
  PixelScale scale;
  int64_t limit = 0;  // images; 0: all
  int threads = 1;
};

struct ClassifyReport {
  int64_t images = 0, correct = 0;
  double loss = 0;                   // mean cross entropy, nats
  std::vector<int32_t> predictions;  // by image; the first of equal logits
  double accuracy() const { return static_cast<double>(correct) / static_cast<double>(images); }
  double standard_error() const;  // of the accuracy, binomial
};

// kInvalidArgument unless the model reads frames of as many channels as the images and the scale
// have and knows their classes, every std is positive and finite, and there is an image. Does not
// depend on the number of threads.
Result<ClassifyReport> Classify(const std::shared_ptr<const Model>& model,
                                const LabeledImages& images, const ClassifyOptions& options,
                                const Progress& progress);

}  // namespace octet
#endif  // OCTET_EVAL_CLASSIFY_H_
