#include <utility>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/s4d_images.h"
#include "apps/cli/s4d_model.h"
#include "apps/cli/shared.h"

namespace octet::cli {

namespace {

// A line for each image.
std::string Items(const ClassifyReport& report, const LabeledImages& images) {
  std::string lines;
  const size_t classes = report.logits.size() / static_cast<size_t>(report.images);
  for (size_t i = 0; i < static_cast<size_t>(report.images); ++i) {
    Json item = Json::MakeObject();
    item.Set("image", static_cast<int64_t>(i));
    item.Set("label", int64_t{images.labels[i]});
    item.Set("prediction", int64_t{report.predictions[i]});
    Json logits = Json::MakeArray();
    for (size_t k = 0; k < classes; ++k) {
      logits.Append(static_cast<double>(report.logits[i * classes + k]));
    }
    item.Set("logits", std::move(logits));
    lines += item.Dump(-1) + "\n";
  }
  return lines;
}

}  // namespace

Status Run(const S4dEvaluateCommand& c) {
  const std::string files[] = {c.items};
  OCTET_TRY(ProbeReports(c.model, files));
  OCTET_ASSIGN(const S4dModel model, LoadS4dModel(c.model));
  const MnistSplit split = c.images.train ? MnistSplit::kTrain : MnistSplit::kTest;
  OCTET_ASSIGN(const LabeledImages images, LoadImages(c.images, split, "evaluate"));
  ProgressBar bar;
  OCTET_ASSIGN(PixelScale scale, ScaleOf(c.model, c.images));
  const ClassifyOptions options{std::move(scale), c.images.limit, c.threads};
  Result<ClassifyReport> report = c.integers
                                      ? ClassifyIntegers(model, images, options, bar.Callback())
                                      : ClassifyS4d(model, images, options, bar.Callback());
  if (!report.ok()) return report.status().Annotate(c.model);
  if (!c.items.empty()) OCTET_TRY(WriteTextFile(c.items, Items(*report, images)));
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
  Print(fmt::format("accuracy  {} of {} (standard error {})\nloss      {:.5f} nats per image\n",
                    FormatPercent(report->accuracy()), FormatNumber(report->images, "image"),
                    FormatPercent(report->standard_error()), report->loss));
  return {};
}

}  // namespace octet::cli
