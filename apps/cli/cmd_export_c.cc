#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/s4d_images.h"
#include "apps/cli/s4d_model.h"
#include "apps/cli/shared.h"
#include "edge/c_source.h"
#include "edge/export_c.h"
#include "edge/run.h"

namespace octet::cli {
namespace {

// The code of each byte of an image with one channel.
std::vector<int8_t> PixelCodes(const IntegerS4d& model, const PixelScale& scale) {
  LabeledImages bytes{1, 16, 16, 1, {}, {0}};
  for (int v = 0; v < 256; ++v) {
    bytes.pixels.push_back(static_cast<uint8_t>(v));
  }
  return FrameCodesOf(model, FramesOf(bytes, 0, scale));
}

// Images that tensors are compared on.
constexpr int64_t kComparedImages = 16;

// The accuracies of the float model, the simulation and the integers, the distances of tensors, and
// the sample.
Status Measure(const ExportCCommand& c, const S4dModel& model, const IntegerS4d& integers,
               const PixelScale& scale, CExport* options) {
  OCTET_ASSIGN(const LabeledImages images, ReadMnist(c.mnist, MnistSplit::kTest));
  const ClassifyOptions classify{scale, c.limit, c.threads};
  ProgressBar bar;
  S4dModel unquantized = model;
  unquantized.quantization.reset();
  OCTET_ASSIGN(const ClassifyReport in_float,
               ClassifyS4d(unquantized, images, classify, bar.Callback()));
  OCTET_ASSIGN(const ClassifyReport simulated,
               ClassifyS4d(model, images, classify, bar.Callback()));
  OCTET_ASSIGN(const ClassifyReport report,
               ClassifyIntegers(model, images, classify, bar.Callback()));
  const std::string of = FormatNumber(report.images, "test image");
  options->accuracy = {{"float, " + of, in_float.accuracy()},
                       {"simulated, " + of, simulated.accuracy()},
                       {"integers, " + of, report.accuracy()}};
  const int64_t compared = std::min(kComparedImages, report.images);
  options->sites_of = FormatNumber(compared, "test image");
  OCTET_ASSIGN(options->sites,
               MeasureSites(model.checkpoint.graph, model.checkpoint.weights,
                            model.quantization->plan, model.quantization->ranges, integers,
                            compared, [&](int64_t i) { return FramesOf(images, i, scale); }));
  if (c.sample) options->sample = FrameCodesOf(integers, FramesOf(images, 0, scale));
  return {};
}

}  // namespace

Status Run(const ExportCCommand& c) {
  OCTET_TRY(CheckCName(c.name));
  OCTET_ASSIGN(OutputFolder folder, OutputFolder::Create(c.output));
  OCTET_ASSIGN(const S4dModel model, LoadS4dModel(c.model));
  Result<IntegerS4d> integers = LowerModel(model);
  if (!integers.ok()) return integers.status().Annotate(c.model);
  CExport options;
  options.name = c.name;
  options.length = c.length;
  options.source = c.model;
  options.recipe_sha256 = RecipeHash(model.quantization->plan);
  OCTET_ASSIGN(const PixelScale scale, ScaleOf(c.model, {}));
  if (integers->inputs == 1) {
    if (Status s = CheckScale(scale, 1); !s.ok()) return s.Annotate(c.model);
    options.pixels = PixelCodes(*integers, scale);
  }
  if (!c.mnist.empty()) {
    const Status s = Measure(c, model, *integers, scale, &options);
    if (!s.ok()) return s.Annotate(c.model);
  }
  OCTET_TRY(WriteC(*integers, options, &folder));
  OCTET_TRY(folder.Commit());
  if (c.json) {
    Json report = ReportOf(*integers, options);
    report.Set("output", c.output);
    PrintJson("export.c", std::move(report));
    return {};
  }
  for (const auto& [what, value] : SizeRows(*integers, options)) {
    Print(fmt::format("{:<40} {:>10}\n", what, value));
  }
  for (const auto& [what, value] : options.accuracy) {
    Print(fmt::format("{:<40} {:>10}\n", "accuracy, " + what, FormatPercent(value)));
  }
  Print(fmt::format("\n{}/README.md says how to build and call it.\n", c.output));
  return {};
}

}  // namespace octet::cli
