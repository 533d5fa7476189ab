// What the commands that train S4D classifiers share.
#ifndef OCTET_APPS_CLI_S4D_TRAINING_H_
#define OCTET_APPS_CLI_S4D_TRAINING_H_

#include <string>
#include <vector>

#include "apps/cli/options.h"
#include "base/json.h"
#include "base/status.h"
#include "io/labeled_images.h"
#include "train/training.h"

namespace octet::cli {

// MNIST's 60,000 images for training are 50,000 and 10,000 for validation.
inline constexpr int64_t kValidationShare = 6;

// The training split, or its first images.
Result<LabeledImages> LoadTrainingImages(const TrainingFlags& flags);
TrainingOptions OptionsOf(const TrainingFlags& flags);

// Sets what of the flags and the images determines the result: "epochs", "batch", "lr", "seed",
// "images" and "images_sha256".
void Describe(const TrainingFlags& flags, const LabeledImages& images, Json* run);

struct TrainingJob {
  const char* schema;             // of --json: "s4d.train"
  std::string output;             // folder to write
  Json config;                    // its config.json, but for "training" and "quantization_config"
  Json run;                       // all that determines the result
  std::vector<const char*> told;  // members of `run` that are repeated in "training"
  const Graph& graph;
  const ParameterLayout& layout;
  TrainingData data;
  TrainingOptions options;
  bool json = false;
};

// Trains from `start`, or goes on from the checkpoint beside `output` that an earlier run with the
// same `run` left; prints epochs; writes the folder with the best parameters and the last ones.
Status RunTraining(const TrainingJob& job, std::vector<float> start);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_S4D_TRAINING_H_
