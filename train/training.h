// Training of a classifier of images that are read pixel by pixel.
#ifndef OCTET_TRAIN_TRAINING_H_
#define OCTET_TRAIN_TRAINING_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "graph/graph.h"
#include "io/labeled_images.h"
#include "quant/s4d/quantized.h"
#include "train/parameters.h"

namespace octet {

struct TrainingOptions {
  int64_t epochs = 20, batch = 128;
  double lr = 0.01;   // of the first step; by a cosine to 0 at the last
  uint64_t seed = 0;  // of the order of the images, a new one each epoch
  int threads = 1;    // results do not depend on it
  double save_seconds = 60;
  std::vector<std::string> frozen = {};  // tensors that stay as they are
  // Quantization-aware training: what is rounded on the way forward. Must outlive the run.
  const S4dQuantization* quantization = nullptr;
  // Distillation: Target of train/backprop.h; data must have a teacher.
  double teacher_share = 0, temperature = 1;
};

// The last `validation` images are never trained on; there must be others.
struct TrainingData {
  const LabeledImages& images;
  PixelScale scale;
  int64_t validation = 0;
  std::span<const float> teacher = {};  // logits [images.count, classes]; empty: none
};

// Logits [images.count, classes] of a float model with those parameters: a teacher. kUnsupported
// for a graph that Backprop refuses, kInvalidArgument naming a coefficient that is not finite.
Result<std::vector<float>> TeacherLogits(
    const Graph& graph, const ParameterLayout& layout, std::span<const float> parameters,
    const TrainingData& data, int threads,
    const std::function<void(std::string_view what, int64_t done, int64_t total)>& progress);

struct EpochReport {
  double loss = 0;      // mean cross entropy in nats of the images, each before its step
  double accuracy = 0;  // on the images for validation, at the end
  friend bool operator==(const EpochReport&, const EpochReport&) = default;
};

// All that determines how a run goes on: stored and read back, it goes on to the same bits.
struct TrainingState {
  std::vector<float> parameters;    // ParameterLayout::Gather
  std::vector<float> mean, square;  // Adam's moments
  std::vector<float> best;  // the parameters of the best epoch so far; empty before the first
  int64_t best_epoch = -1;  // the first of equals
  int64_t step = 0;         // steps of the current epoch that are done
  double loss = 0;          // their losses, summed over images
  std::vector<EpochReport> epochs;  // those that are done
  friend bool operator==(const TrainingState&, const TrainingState&) = default;
};
TrainingState StartTraining(std::vector<float> parameters);

struct TrainingCallbacks {
  std::function<void(std::string_view what, int64_t done, int64_t total)> progress;
  std::function<void(int64_t epoch, const EpochReport& report)> epoch;  // done, from 0
  // After each epoch, and every save_seconds. An error of it ends the run.
  std::function<Status(const TrainingState&)> save;
};

// Adam (Kingma & Ba 2015; 0.9, 0.999, 1e-8) on the mean cross entropy of each batch, until
// options.epochs are done. kUnsupported for a graph that Backprop refuses, or a quantization;
// kInvalidArgument for a frozen tensor that there is not; naming epoch and step, and `state` as
// before that step, when the loss, a gradient, or a parameter or coefficient that would come of
// them is not finite; naming the epoch when logits of an image for validation are not finite. Bits
// depend neither on the number of threads nor on how often the run was interrupted.
Status Train(const Graph& graph, const ParameterLayout& layout, const TrainingData& data,
             const TrainingOptions& options, const TrainingCallbacks& callbacks,
             TrainingState* state);

}  // namespace octet
#endif  // OCTET_TRAIN_TRAINING_H_
