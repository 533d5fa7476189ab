#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/shared.h"
#include "eval/classify.h"
#include "io/cifar.h"
#include "io/mnist.h"

namespace octet::cli {
namespace {

constexpr int64_t kMaxConfig = int64_t{1} << 20;

Result<LabeledImages> LoadImages(const ImageFlags& flags) {
  if (flags.mnist.empty() && flags.cifar10.empty()) {
    return InvalidArgument("octet s4d evaluate needs --mnist or --cifar10");
  }
  if (!flags.cifar10.empty()) return ReadCifar10(flags.cifar10);
  return ReadMnist(flags.mnist, flags.train ? MnistSplit::kTrain : MnistSplit::kTest);
}

// What config.json of a model folder says under `key`: a number for each channel, or nothing.
Result<std::vector<float>> Trained(const std::string& model, const char* key) {
  const std::filesystem::path path = std::filesystem::path(model) / "config.json";
  std::vector<float> values;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return values;
  OCTET_ASSIGN(const Json config, Json::ParseFile(path.string(), kMaxConfig));
  const Json* list = config.Find(key);
  if (list == nullptr || list->is_null()) return values;
  if (!list->is_array()) {
    return InvalidArgument(fmt::format("{}: {} is no list of numbers", path.string(), key));
  }
  for (const Json& e : list->AsArray()) {
    const Result<double> value = e.AsNumber();
    if (!value.ok()) return value.status().Annotate(fmt::format("{}: {}", path.string(), key));
    values.push_back(static_cast<float>(*value));
  }
  return values;
}

// What the flags say, else what the model was trained with as far as it tells, else what the
// checkpoints of state-spaces/s4 were trained with.
Result<PixelScale> ScaleOf(const std::string& model, const ImageFlags& flags) {
  PixelScale scale = flags.cifar10.empty()
                         ? PixelScale{{0}, {1}}
                         : PixelScale{{0.4914f, 0.4822f, 0.4465f}, {0.2023f, 0.1994f, 0.2010f}};
  OCTET_ASSIGN(const std::vector<float> mean, Trained(model, "pixel_mean"));
  OCTET_ASSIGN(const std::vector<float> std, Trained(model, "pixel_std"));
  if (!mean.empty()) scale.mean = mean;
  if (!std.empty()) scale.std = std;
  if (!flags.mean.empty()) scale.mean = flags.mean;
  if (!flags.std.empty()) scale.std = flags.std;
  return scale;
}

}  // namespace

Status Run(const S4dEvaluateCommand& c) {
  OCTET_ASSIGN(const auto model, LoadFramesModel(c.model));
  OCTET_ASSIGN(const LabeledImages images, LoadImages(c.images));
  ProgressBar bar;
  OCTET_ASSIGN(PixelScale scale, ScaleOf(c.model, c.images));
  const ClassifyOptions options{std::move(scale), c.images.limit, c.threads};
  Result<ClassifyReport> report = Classify(model, images, options, bar.Callback());
  if (!report.ok()) return report.status().Annotate(c.model);
  if (c.json) {
    Json j = Json::MakeObject();
    j.Set("images", report->images);
    j.Set("correct", report->correct);
    j.Set("accuracy", report->accuracy());
    j.Set("standard_error", report->standard_error());
    j.Set("loss", report->loss);
    PrintJson("s4d.evaluate", std::move(j));
    return {};
  }
  Print(fmt::format("accuracy  {} +- {} of {}\nloss      {:.5f} nats per image\n",
                    FormatPercent(report->accuracy()), FormatPercent(report->standard_error()),
                    FormatNumber(report->images, "image"), report->loss));
  return {};
}

}  // namespace octet::cli
