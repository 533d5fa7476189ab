#include "apps/cli/s4d_training.h"

#include <chrono>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "apps/cli/s4d_model.h"
#include "apps/cli/term.h"
#include "base/sha256.h"
#include "io/file_lock.h"
#include "io/mnist.h"
#include "train/checkpoint.h"

namespace octet::cli {
namespace {

using Clock = std::chrono::steady_clock;

Json ResultOf(const TrainingJob& job, const TrainingState& state) {
  Json result = Json::MakeObject();
  for (const char* key : job.told) {
    result.Set(key, *job.run.Find(key));
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

NamedWeights Tensors(const ParameterLayout& layout, const std::vector<float>& parameters) {
  const WeightMap weights = layout.Scatter(parameters);
  return {weights.all().begin(), weights.all().end()};
}

// A file beside the folder.
std::string Beside(const std::string& output, const char* suffix) {
  std::filesystem::path path = std::filesystem::path(output).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.string() + suffix;
}

void PrintEpoch(int64_t epoch, int64_t epochs, const EpochReport& report, double seconds) {
  Print(fmt::format("epoch {} of {}  loss {:.4f}  validation {}  {:.1f} s\n", epoch + 1, epochs,
                    report.loss, FormatPercent(report.accuracy), seconds));
}

Result<TrainingState> StartOrGoOn(const TrainingJob& job, const std::string& checkpoint,
                                  std::vector<float> start) {
  Result<std::optional<TrainingState>> saved =
      ReadCheckpoint(checkpoint, job.run, job.layout.size());
  if (saved.status().code() == Code::kCorrupt) {
    return Corrupt(saved.status().message() + "; remove the file to start again");
  }
  OCTET_ASSIGN(std::optional<TrainingState> state, std::move(saved));
  if (!state) return StartTraining(std::move(start));
  PrintNote(fmt::format("going on after epoch {}, step {} of {}", state->epochs.size(), state->step,
                        checkpoint));
  return *std::move(state);
}

void Report(const TrainingJob& job, const TrainingState& state) {
  if (job.json) {
    Json j = ResultOf(job, state);
    j.Set("parameters", job.layout.size());
    return PrintJson(job.schema, std::move(j));
  }
  const auto best = static_cast<size_t>(state.best_epoch);
  Print(fmt::format("{} with the {} parameters of epoch {}, validation {}\n", job.output,
                    FormatCount(job.layout.size()), best + 1,
                    FormatPercent(state.epochs[best].accuracy)));
}

}  // namespace

Result<LabeledImages> LoadTrainingImages(const TrainingFlags& flags) {
  OCTET_ASSIGN(LabeledImages images, ReadMnist(flags.mnist, MnistSplit::kTrain));
  if (flags.limit > 0 && flags.limit < images.count) images = Slice(images, 0, flags.limit);
  if (images.count < kValidationShare) {
    return InvalidArgument(fmt::format("{}: {} are too few to train and validate with", flags.mnist,
                                       FormatNumber(images.count, "image")));
  }
  return images;
}

TrainingOptions OptionsOf(const TrainingFlags& flags) {
  TrainingOptions options;
  options.epochs = flags.epochs;
  options.batch = flags.batch;
  options.lr = flags.lr;
  options.seed = flags.seed;
  options.threads = flags.threads;
  return options;
}

void Describe(const TrainingFlags& flags, const LabeledImages& images, Json* run) {
  run->Set("epochs", flags.epochs);
  run->Set("batch", flags.batch);
  run->Set("lr", flags.lr);
  run->Set("seed", fmt::format("{}", flags.seed));
  Sha256 hash;
  hash.Update(std::as_bytes(std::span(images.pixels)));
  hash.Update(std::as_bytes(std::span(images.labels)));
  run->Set("images", images.count);
  run->Set("images_sha256", hash.Hex());
}

Status RunTraining(const TrainingJob& job, std::vector<float> start) {
  const std::string checkpoint = Beside(job.output, ".checkpoint");
  OCTET_ASSIGN(const FileLock lock, FileLock::Take(Beside(job.output, ".lock")));
  OCTET_ASSIGN(TrainingState state, StartOrGoOn(job, checkpoint, std::move(start)));
  ProgressBar bar;
  Clock::time_point begun = Clock::now();
  TrainingCallbacks callbacks;
  callbacks.progress = bar.Callback();
  callbacks.epoch = [&](int64_t epoch, const EpochReport& report) {
    const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    if (!job.json) PrintEpoch(epoch, job.options.epochs, report, seconds);
    begun = Clock::now();
  };
  callbacks.save = [&](const TrainingState& s) -> Status {
    OCTET_TRY(Flush());
    return WriteCheckpoint(checkpoint, job.run, s);
  };
  const Status trained = Train(job.graph, job.layout, job.data, job.options, callbacks, &state);
  if (!trained.ok()) return trained.Annotate("training stopped");
  Json config = job.config;
  config.Set("training", ResultOf(job, state));
  OCTET_TRY(WriteS4dFolder(job.output, std::move(config), job.options.quantization,
                           Tensors(job.layout, state.best), Tensors(job.layout, state.parameters)));
  std::error_code error;
  std::filesystem::remove(checkpoint, error);
  if (error) PrintWarning(checkpoint + ": " + error.message());
  Report(job, state);
  return {};
}

}  // namespace octet::cli
