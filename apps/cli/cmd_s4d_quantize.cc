#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/s4d_images.h"
#include "apps/cli/s4d_model.h"
#include "apps/cli/shared.h"
#include "io/output_folder.h"
#include "quant/s4d/recipes.h"

namespace octet::cli {

Status Run(const S4dQuantizeCommand& c) {
  OCTET_TRY(OutputFolder::Create(c.output).status());
  OCTET_ASSIGN(const FloatCheckpoint source, LoadFloatS4dModel(c.model));
  OCTET_ASSIGN(const S4dPlan plan, LoadS4dRecipe(c.recipe, source.graph));
  OCTET_ASSIGN(const ImageSplit split, LoadSplit(c.images, c.calibrate, "quantize"));
  OCTET_ASSIGN(const PixelScale scale, ScaleOf(c.model, c.images));
  S4dModel model{source, S4dQuantization{plan, {}}};
  OCTET_ASSIGN(model.quantization->ranges,
               Calibrate(source, split.calibration, c.calibrate, scale, c.threads));
  ProgressBar bar;
  const ClassifyOptions options{scale, c.images.limit, c.threads};
  OCTET_ASSIGN(const ClassifyReport reference,
               ClassifyS4d({source, {}}, split.measured, options, bar.Callback()));
  OCTET_ASSIGN(const ClassifyReport report,
               ClassifyS4d(model, split.measured, options, bar.Callback()));
  Json config = source.config;
  SetScale(scale, &config);
  OCTET_TRY(WriteS4dFolder(c.output, std::move(config), &*model.quantization,
                           TensorsOf(source.graph, source.weights), {}));
  const double kl = MeanKl(reference, report);
  if (c.json) {
    Json j = Json::MakeObject();
    j.Set("output", c.output);
    j.Set("recipe", c.recipe);
    j.Set("calibration_images", std::min(c.calibrate, split.calibration.count));
    j.Set("images", report.images);
    j.Set("float_accuracy", reference.accuracy());
    j.Set("accuracy", report.accuracy());
    j.Set("standard_error", report.standard_error());
    j.Set("kl_mean", kl);
    PrintJson("s4d.quantize", std::move(j));
    return {};
  }
  Print(
      fmt::format("accuracy    {} of {} (standard error {}), float {}\n"
                  "KL          {} nats per image from float\n"
                  "written to  {}\n",
                  FormatPercent(report.accuracy()), FormatNumber(report.images, "image"),
                  FormatPercent(report.standard_error()), FormatPercent(reference.accuracy()),
                  FormatDecimals(kl), c.output));
  return {};
}

}  // namespace octet::cli
