// What several commands do.
#ifndef OCTET_APPS_CLI_SHARED_H_
#define OCTET_APPS_CLI_SHARED_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "apps/cli/options.h"
#include "apps/cli/term.h"
#include "base/json.h"
#include "base/status.h"
#include "eval/text_data.h"
#include "eval/windows.h"
#include "quant/recipe.h"
#include "quant/self_check.h"
#include "runtime/model.h"

namespace octet::cli {

// Warnings about the model at that path.
void PrintWarnings(const std::string& model, const std::vector<std::string>& warnings);

// Model::Load with the flag of that name (0: not given); prints the model's warnings.
Result<std::shared_ptr<const Model>> LoadModel(const std::string& folder, int64_t chunk_size,
                                               bool bf16_compute = false);
// The same of a float folder that is open.
Result<std::shared_ptr<const Model>> LoadModel(const std::string& folder,
                                               const FloatCheckpoint& source);

// The last components of the folders, as few as tell them apart.
std::vector<std::string> DistinctNames(const std::vector<std::string>& folders);

WindowOptions MakeWindowOptions(const TextFlags& text, int threads);

// The text of `text.path` as tokens, one stream.
Result<std::vector<TokenId>> LoadTokens(const TextFlags& text, const Model& model);

// kInvalidArgument, for models whose tokens are not the same; folders.
Status DifferentTokenizers(const std::string& reference, const std::string& candidate);

// Token ids mean the same in both models only when the tokenizers agree on the text, whose `tokens`
// are those of `reference`: kInvalidArgument, naming both folders, otherwise.
Status CheckSameTokens(const std::vector<TokenId>& tokens, const TextFlags& text,
                       const Model& reference, const Model& candidate);

// kInvalidArgument, naming the flag that helps, when a text of `tokens` tokens fills no window.
Status CheckWindow(const TextFlags& text, int64_t tokens);
// "12 tokens at the end fill no window", for people.
std::string DroppedText(int64_t dropped);

// Bytes of all tensors of a model, scales included, as they are stored.
int64_t StoredBytes(const Graph& graph, const WeightMap& weights);

// Text to calibrate on, a slice that calibration does not see, and the record of where it is from:
// "name", "sha256", "tokens", "samples".
struct CalibrationText {
  TokenDataset data;
  TokenDocument check;
  Json record;
};
struct CalibrationFlags {
  std::string source = "self";  // a file, or "self": written by the model
  int64_t samples = 0;          // 0: the default for either
  int64_t length = 512;
  uint64_t seed = 0;
  bool needed = true;  // otherwise only the slice for checking is made; `data` is empty
};
Result<CalibrationText> LoadCalibration(const CalibrationFlags& flags,
                                        const std::shared_ptr<const Model>& model, int threads,
                                        const Progress& progress);

// Takes every fifth piece, at most `samples`, out of the text, for measuring a sensitivity on; the
// others calibrate.
inline constexpr int64_t kCalibrationPieces = 4;  // for each that is measured
TokenDataset TakeSample(int64_t samples, TokenDataset* text);

// Sentences about text of which there is too little to say much.
std::vector<std::string> TextWarnings(const CalibrationText& text);

// A quantized model that was checked, in memory or mapped from a work folder.
struct CheckedModel {
  QuantizedModel model;
  SelfCheckReport check;
};
Result<CheckedModel> QuantizeAndCheck(const RecipeRun& recipe, const FloatCheckpoint& source,
                                      const CalibrationText& text, int threads,
                                      const Progress& progress, WorkFolder* work = nullptr);

// Writes the model folder: config.json of `source` with quantization_config, model.safetensors, and
// the tokenizer files of `source_folder`. Nothing is left at `output` or beside it on an error.
Status WriteModelFolder(const QuantizedModel& model, const FloatCheckpoint& source,
                        const std::string& source_folder, const std::string& output);

// kInvalidArgument where --bits names a width twice.
Status CheckDistinct(std::span<const int64_t> bits);

// What WriteTextFile would refuse, said before minutes of work.
Status ProbeFile(const std::string& path);
// The same of the reports that a command writes about `model`, "" being none: they must be apart
// from each other and from the model's own files.
Status ProbeReports(const std::string& model, std::span<const std::string> paths);
// kInvalidArgument where one of the files `outputs` is one of `inputs`, by whatever name: what a
// command reads it must not replace. "" is none.
Status CheckNotRead(std::span<const std::string> outputs, std::span<const std::string> inputs);
// Writes or replaces the file `path`; nothing is left on an error.
Status WriteTextFile(const std::string& path, const std::string& text);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_SHARED_H_
