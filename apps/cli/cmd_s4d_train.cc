#include <chrono>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/shared.h"
#include "arch/architecture.h"
#include "base/sha256.h"
#include "io/mnist.h"
#include "io/output_folder.h"
#include "io/safetensors.h"
#include "train/checkpoint.h"
#include "train/s4d_init.h"
#include "train/training.h"

namespace octet::cli {
namespace {

constexpr int64_t kClasses = 10;
// MNIST's 60,000 images for training are 50,000 and 10,000 for validation.
constexpr int64_t kValidationShare = 6;

using Clock = std::chrono::steady_clock;

Result<LabeledImages> LoadImages(const S4dTrainCommand& c) {
  OCTET_ASSIGN(LabeledImages images, ReadMnist(c.mnist, MnistSplit::kTrain));
  if (c.limit > 0 && c.limit < images.count) images = Slice(images, 0, c.limit);
  if (images.count < kValidationShare) {
    return InvalidArgument(fmt::format("{}: {} are too few to train and validate with", c.mnist,
                                       FormatNumber(images.count, "image")));
  }
  return images;
}

Json ModelConfig(const S4dTrainCommand& c) {
  Json config = Json::MakeObject();
  config.Set("model_type", "s4d");
  config.Set("d_model", c.d_model);
  config.Set("n_layers", c.layers);
  config.Set("n_modes", c.modes);
  config.Set("discretization", "zoh");
  config.Set("real_transform", "exp");
  config.Set("norm", c.norm);
  config.Set("norm_eps", 1e-5);
  config.Set("gelu", c.gelu);
  config.Set("pixel_mean", Json::Array{c.mean});
  config.Set("pixel_std", Json::Array{c.std});
  return config;
}

// Everything that determines the result.
Json Describe(const S4dTrainCommand& c, const LabeledImages& images) {
  Sha256 hash;
  hash.Update(std::as_bytes(std::span(images.pixels)));
  hash.Update(std::as_bytes(std::span(images.labels)));
  Json run = ModelConfig(c);
  run.Set("epochs", c.epochs);
  run.Set("batch", c.batch);
  run.Set("lr", c.lr);
  run.Set("seed", fmt::format("{}", c.seed));
  run.Set("images", images.count);
  run.Set("images_sha256", hash.Hex());
  return run;
}

Json ResultOf(const Json& run, const TrainingState& state) {
  Json result = Json::MakeObject();
  for (const char* key : {"epochs", "batch", "lr", "seed", "images", "images_sha256"}) {
    result.Set(key, *run.Find(key));
  }
  Json losses = Json::MakeArray(), accuracies = Json::MakeArray();
  for (const EpochReport& e : state.epochs) {
    losses.Append(e.loss);
    accuracies.Append(e.accuracy);
  }
  result.Set("best_epoch", state.best_epoch + 1);
  result.Set("loss", std::move(losses));
  result.Set("validation_accuracy", std::move(accuracies));
  return result;
}

std::vector<std::pair<std::string, Weight>> Tensors(const ParameterLayout& layout,
                                                    const std::vector<float>& parameters) {
  const WeightMap weights = layout.Scatter(parameters);
  return {weights.all().begin(), weights.all().end()};
}

Status WriteModel(const S4dTrainCommand& c, const ParameterLayout& layout, const Json& run,
                  const TrainingState& state) {
  OCTET_ASSIGN(OutputFolder folder, OutputFolder::Create(c.output));
  Json config = ModelConfig(c);
  config.Set("training", ResultOf(run, state));
  OCTET_TRY(folder.WriteFile("config.json", config.Dump(2) + "\n"));
  OCTET_TRY(WriteSafetensors(folder.PathOf("model.safetensors"), Tensors(layout, state.best),
                             {{"format", "pt"}}));
  OCTET_TRY(WriteSafetensors(folder.PathOf("last.safetensors"), Tensors(layout, state.parameters),
                             {{"format", "pt"}}));
  return folder.Commit();
}

std::string CheckpointPath(const std::string& output) {
  std::filesystem::path path = std::filesystem::path(output).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.string() + ".checkpoint";
}

void PrintEpoch(int64_t epoch, int64_t epochs, const EpochReport& report, double seconds) {
  Print(fmt::format("epoch {} of {}  loss {:.4f}  validation {}  {:.1f} s\n", epoch + 1, epochs,
                    report.loss, FormatPercent(report.accuracy), seconds));
}

}  // namespace

Status Run(const S4dTrainCommand& c) {
  OCTET_TRY(OutputFolder::Create(c.output).status());
  OCTET_ASSIGN(const LabeledImages images, LoadImages(c));
  const WeightMap start =
      InitS4d({1, c.d_model, c.layers, c.modes, kClasses, c.norm != "none"}, c.seed);
  OCTET_ASSIGN(const Architecture model, BuildArchitecture(ModelConfig(c), start));
  OCTET_ASSIGN(const ParameterLayout layout, ParameterLayout::Of(model.graph, model.weights));
  const Json run = Describe(c, images);
  const std::string checkpoint = CheckpointPath(c.output);
  Result<std::optional<TrainingState>> saved = ReadCheckpoint(checkpoint, run, layout.size());
  if (saved.status().code() == Code::kCorrupt) {
    return Corrupt(saved.status().message() + "; remove the file to start again");
  }
  OCTET_ASSIGN(std::optional<TrainingState> state, std::move(saved));
  if (state) {
    PrintNote(fmt::format("going on after epoch {}, step {} of {}", state->epochs.size(),
                          state->step, checkpoint));
  } else {
    state = StartTraining(layout.Gather(model.weights));
  }
  ProgressBar bar;
  Clock::time_point begun = Clock::now();
  TrainingCallbacks callbacks;
  callbacks.progress = bar.Callback();
  callbacks.epoch = [&](int64_t epoch, const EpochReport& report) {
    const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    if (!c.json) PrintEpoch(epoch, c.epochs, report, seconds);
    begun = Clock::now();
  };
  callbacks.save = [&](const TrainingState& s) -> Status {
    OCTET_TRY(Flush());
    return WriteCheckpoint(checkpoint, run, s);
  };
  const TrainingOptions options{c.epochs, c.batch, c.lr, c.seed, c.threads};
  const PixelScale scale{{static_cast<float>(c.mean)}, {static_cast<float>(c.std)}};
  const TrainingData data{images, scale, images.count / kValidationShare};
  const Status trained = Train(model.graph, layout, data, options, callbacks, &*state);
  if (!trained.ok()) return trained.Annotate("training stopped");
  OCTET_TRY(WriteModel(c, layout, run, *state));
  std::error_code error;
  std::filesystem::remove(checkpoint, error);
  if (error) PrintWarning(checkpoint + ": " + error.message());
  if (c.json) {
    Json j = ResultOf(run, *state);
    j.Set("parameters", layout.size());
    PrintJson("s4d.train", std::move(j));
  } else {
    const auto best = static_cast<size_t>(state->best_epoch);
    Print(fmt::format("{} with the {} parameters of epoch {}, validation {}\n", c.output,
                      FormatCount(layout.size()), best + 1,
                      FormatPercent(state->epochs[best].accuracy)));
  }
  return {};
}

}  // namespace octet::cli
