// S4D classifiers as folders, float and quantized.
#ifndef OCTET_APPS_CLI_S4D_MODEL_H_
#define OCTET_APPS_CLI_S4D_MODEL_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/cli/options.h"
#include "apps/cli/term.h"
#include "edge/integer_s4d.h"
#include "eval/classify.h"
#include "io/labeled_images.h"
#include "quant/s4d/quantized.h"
#include "runtime/model.h"

namespace octet::cli {

struct S4dModel {
  FloatCheckpoint checkpoint;
  std::optional<S4dQuantization> quantization;
};

// Prints the model's warnings. Errors of LoadS4dCheckpoint and ParseS4dQuantization.
Result<S4dModel> LoadS4dModel(const std::string& path);
// The same; kInvalidArgument where it is quantized.
Result<FloatCheckpoint> LoadFloatS4dModel(const std::string& path);

// Static ranges of a float model on the first `count` of `images`.
Result<S4dRanges> Calibrate(const FloatCheckpoint& model, const LabeledImages& images,
                            int64_t count, const PixelScale& scale, int threads);

// Accuracy of the model: simulated where it is quantized, else of its float recurrence.
Result<ClassifyReport> ClassifyS4d(const S4dModel& model, const LabeledImages& images,
                                   const ClassifyOptions& options, const Progress& progress);

// The same of the integers that `octet export c` writes. kInvalidArgument for a float model, and
// errors of LowerS4d.
Result<ClassifyReport> ClassifyIntegers(const S4dModel& model, const LabeledImages& images,
                                        const ClassifyOptions& options, const Progress& progress);
Result<IntegerS4d> LowerModel(const S4dModel& model);

using NamedWeights = std::vector<std::pair<std::string, Weight>>;
// Writes config.json of `config` with the quantization, model.safetensors of `tensors` and, unless
// it is empty, last.safetensors of `last`. `output` must not exist or be empty.
Status WriteS4dFolder(const std::string& output, Json config, const S4dQuantization* quantization,
                      const NamedWeights& tensors, const NamedWeights& last);
// The tensors that the graph of a checkpoint names.
NamedWeights TensorsOf(const Graph& graph, const WeightMap& weights);
// Sets pixel_mean and pixel_std.
void SetScale(const PixelScale& scale, Json* config);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_S4D_MODEL_H_
