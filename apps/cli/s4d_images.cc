#include "apps/cli/s4d_images.h"

#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "base/json.h"
#include "io/cifar.h"

namespace octet::cli {
namespace {

constexpr int64_t kMaxConfig = int64_t{1} << 20;

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

}  // namespace

Result<LabeledImages> LoadImages(const ImageFlags& flags, MnistSplit split, const char* command) {
  if (flags.mnist.empty() && flags.cifar10.empty()) {
    return InvalidArgument(fmt::format("octet s4d {} needs --mnist or --cifar10", command));
  }
  if (!flags.cifar10.empty()) return ReadCifar10(flags.cifar10);
  return ReadMnist(flags.mnist, split);
}

Result<ImageSplit> LoadSplit(const ImageFlags& flags, int64_t calibrate, const char* command) {
  ImageSplit split;
  OCTET_ASSIGN(split.measured, LoadImages(flags, MnistSplit::kTest, command));
  if (!flags.mnist.empty()) {
    OCTET_ASSIGN(split.calibration, LoadImages(flags, MnistSplit::kTrain, command));
    return split;
  }
  const LabeledImages images = std::move(split.measured);
  const int64_t kept = images.count - calibrate;
  if (kept < 1) {
    return InvalidArgument(fmt::format("{}: has {} images, not more than the {} that calibrate",
                                       flags.cifar10, images.count, calibrate));
  }
  split.measured = Slice(images, 0, kept);
  split.calibration = Slice(images, kept, calibrate);
  return split;
}

Result<LabeledImages> LoadCalibrationImages(const ImageFlags& flags, int64_t calibrate,
                                            const char* command) {
  if (!flags.mnist.empty()) return LoadImages(flags, MnistSplit::kTrain, command);
  OCTET_ASSIGN(ImageSplit split, LoadSplit(flags, calibrate, command));
  return std::move(split.calibration);
}

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

}  // namespace octet::cli
