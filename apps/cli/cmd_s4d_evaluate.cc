#include <utility>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/s4d_images.h"
#include "apps/cli/s4d_model.h"
#include "apps/cli/shared.h"

namespace octet::cli {

Status Run(const S4dEvaluateCommand& c) {
  OCTET_ASSIGN(const S4dModel model, LoadS4dModel(c.model));
  const MnistSplit split = c.images.train ? MnistSplit::kTrain : MnistSplit::kTest;
  OCTET_ASSIGN(const LabeledImages images, LoadImages(c.images, split, "evaluate"));
  ProgressBar bar;
  OCTET_ASSIGN(PixelScale scale, ScaleOf(c.model, c.images));
  const ClassifyOptions options{std::move(scale), c.images.limit, c.threads};
  Result<ClassifyReport> report = ClassifyS4d(model, images, options, bar.Callback());
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
  Print(fmt::format("accuracy  {} of {} (standard error {})\nloss      {:.5f} nats per image\n",
                    FormatPercent(report->accuracy()), FormatNumber(report->images, "image"),
                    FormatPercent(report->standard_error()), report->loss));
  return {};
}

}  // namespace octet::cli
