#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/shared.h"
#include "eval/classify.h"
#include "io/cifar.h"
#include "io/mnist.h"

namespace octet::cli {
namespace {

Result<LabeledImages> LoadImages(const ImageFlags& flags) {
  if (flags.mnist.empty() && flags.cifar10.empty()) {
    return InvalidArgument("octet s4d evaluate needs --mnist or --cifar10");
  }
  if (!flags.cifar10.empty()) return ReadCifar10(flags.cifar10);
  return ReadMnist(flags.mnist, flags.train ? MnistSplit::kTrain : MnistSplit::kTest);
}

// What the checkpoints of state-spaces/s4 were trained with, unless told otherwise.
PixelScale ScaleOf(const ImageFlags& flags) {
  PixelScale scale = flags.cifar10.empty()
                         ? PixelScale{{0}, {1}}
                         : PixelScale{{0.4914f, 0.4822f, 0.4465f}, {0.2023f, 0.1994f, 0.2010f}};
  if (!flags.mean.empty()) scale.mean = flags.mean;
  if (!flags.std.empty()) scale.std = flags.std;
  return scale;
}

}  // namespace

Status Run(const S4dEvaluateCommand& c) {
  OCTET_ASSIGN(const auto model, LoadFramesModel(c.model));
  OCTET_ASSIGN(const LabeledImages images, LoadImages(c.images));
  ProgressBar bar;
  const ClassifyOptions options{ScaleOf(c.images), c.images.limit, c.threads};
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
