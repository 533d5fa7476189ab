// Accuracy of a classifier of sequences on labelled images, read pixel by pixel.
#ifndef OCTET_EVAL_CLASSIFY_H_
#define OCTET_EVAL_CLASSIFY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
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

// Logits [classes] after the last of the frames; called by several threads at once.
using Classifier = std::function<Result<std::vector<float>>(std::span<const float> frames)>;

struct ClassifyReport {
  int64_t images = 0, correct = 0;
  int64_t not_finite = 0;            // images with a logit that is not; they count as wrong
  double loss = 0;                   // mean cross entropy, nats; not finite with such an image
  std::vector<int32_t> predictions;  // by image; the first of equal logits; -1: not finite
  std::vector<float> logits;         // [images, classes]
  double accuracy() const { return static_cast<double>(correct) / static_cast<double>(images); }
  double standard_error() const;  // of the accuracy, binomial
};

// kInvalidArgument unless the model reads frames of as many channels as the images and the scale
// have and knows their classes, every std is positive and finite, and there is an image. Does not
// depend on the number of threads.
Result<ClassifyReport> Classify(const std::shared_ptr<const Model>& model,
                                const LabeledImages& images, const ClassifyOptions& options,
                                const Progress& progress);

// The same of anything that gives logits, such as the simulation of a quantized model. `graph`
// tells its frames and classes.
Result<ClassifyReport> Classify(const Graph& graph, const Classifier& classifier,
                                const LabeledImages& images, const ClassifyOptions& options,
                                const Progress& progress);

// Mean KL(reference || candidate) over the images of both reports, nats; not finite where logits
// are not.
double MeanKl(const ClassifyReport& reference, const ClassifyReport& candidate);

}  // namespace octet
#endif  // OCTET_EVAL_CLASSIFY_H_
