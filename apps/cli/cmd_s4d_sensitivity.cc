#include <algorithm>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/s4d_images.h"
#include "apps/cli/s4d_sensitivity_html.h"
#include "apps/cli/shared.h"
#include "quant/s4d/sensitivity.h"
#include "quant/s4d/simulate.h"

namespace octet::cli {
namespace {

// Images of one set, those that calibrate apart from those that are measured.
struct Split {
  LabeledImages calibration, measured;
};

// MNIST calibrates on its training images; of other sets the last ones are kept for it.
Result<Split> LoadSplit(const S4dSensitivityCommand& c) {
  Split split;
  OCTET_ASSIGN(split.measured, LoadImages(c.images, MnistSplit::kTest, "sensitivity"));
  if (!c.images.mnist.empty()) {
    OCTET_ASSIGN(split.calibration, ReadMnist(c.images.mnist, MnistSplit::kTrain));
    return split;
  }
  const LabeledImages images = std::move(split.measured);
  const int64_t kept = images.count - c.calibrate;
  if (kept < 1) {
    return InvalidArgument(fmt::format("{}: has {} images, not more than the {} that calibrate",
                                       c.images.cifar10, images.count, c.calibrate));
  }
  split.measured = Slice(images, 0, kept);
  split.calibration = Slice(images, kept, c.calibrate);
  return split;
}

Result<S4dSensitivity> Measure(const S4dSensitivityCommand& c, const FloatCheckpoint& model,
                               const Split& split, const Progress& progress) {
  OCTET_ASSIGN(const PixelScale scale, ScaleOf(c.model, c.images));
  OCTET_TRY(CheckScale(scale, split.calibration.channels));
  ThreadPool pool(c.threads);
  const auto sequence = [&](int64_t i) { return FramesOf(split.calibration, i, scale); };
  const int64_t count = std::min(c.calibrate, split.calibration.count);
  OCTET_ASSIGN(const S4dRanges ranges,
               ObserveS4d(model.graph, model.weights, count, sequence, &pool));
  const ClassifyOptions options{scale, c.images.limit, c.threads};
  const auto classify = [&](const S4dPlan& plan) -> Result<ClassifyReport> {
    OCTET_ASSIGN(const S4dSimulation simulation,
                 S4dSimulation::Create(model.graph, model.weights, plan, ranges));
    const auto run = [&](std::span<const float> frames) { return simulation.Run(frames); };
    return Classify(model.graph, run, split.measured, options, {});
  };
  S4dSensitivity result;
  result.bits = c.bits;
  OCTET_ASSIGN(const ClassifyReport reference, classify({}));
  result.images = reference.images;
  result.accuracy = reference.accuracy();
  const auto total = std::ssize(S4dVariants()) * std::ssize(c.bits);
  int64_t done = 0;
  for (const S4dVariant& v : S4dVariants()) {
    S4dSensitivity::Row row{v.name, v.published, {}};
    for (const int64_t bits : c.bits) {
      OCTET_ASSIGN(const ClassifyReport report, classify(v.plan(static_cast<int>(bits))));
      row.cells.push_back({report.accuracy(), MeanKl(reference, report)});
      progress("measuring sensitivity", ++done, total);
    }
    result.rows.push_back(std::move(row));
  }
  return result;
}

Json ToJson(const S4dSensitivity& s) {
  Json j = Json::MakeObject();
  j.Set("images", s.images);
  j.Set("accuracy", s.accuracy);
  Json rows = Json::MakeArray();
  for (const S4dSensitivity::Row& r : s.rows) {
    for (size_t i = 0; i < s.bits.size(); ++i) {
      Json cell = Json::MakeObject();
      cell.Set("quantized", r.name);
      cell.Set("published", r.published);
      cell.Set("bits", s.bits[i]);
      cell.Set("accuracy", r.cells[i].accuracy);
      cell.Set("kl_mean", r.cells[i].kl);
      rows.Append(std::move(cell));
    }
  }
  j.Set("cells", std::move(rows));
  return j;
}

std::string ToText(const S4dSensitivity& s) {
  std::vector<std::string> head = {"quantized alone"};
  for (const int64_t bits : s.bits) {
    head.push_back(fmt::format("{} bits", bits));
  }
  Table table(head);
  bool published = true;
  for (const S4dSensitivity::Row& r : s.rows) {
    if (published && !r.published) table.Add(std::vector<std::string>(head.size()));
    published = r.published;
    std::vector<std::string> line = {r.name};
    for (const S4dSensitivity::Cell& cell : r.cells) {
      line.push_back(fmt::format("{:.1f}", 100 * cell.accuracy));
    }
    table.Add(line);
  }
  return fmt::format(
      "{}\nAccuracy in % on {}; float: {:.1f}. Upper rows: what arXiv:2506.12480 quantizes in\n"
      "figure 2, static, per head and asymmetric unless the name says otherwise, with the GELU of\n"
      "the model. Lower rows: Octet's forms; the states there are symmetric and rounded once.\n",
      table.Text(), FormatNumber(s.images, "image"), 100 * s.accuracy);
}

}  // namespace

Status Run(const S4dSensitivityCommand& c) {
  const std::string reports[] = {c.html, c.output};
  OCTET_TRY(ProbeReports(c.model, reports));
  OCTET_ASSIGN(const FloatCheckpoint model, LoadFloatCheckpoint(c.model));
  if (model.graph.nodes[0].op != Op::kFrames) {
    return InvalidArgument(c.model + ": the model reads text, not frames of numbers");
  }
  OCTET_ASSIGN(const Split split, LoadSplit(c));
  ProgressBar bar;
  Result<S4dSensitivity> measured = Measure(c, model, split, bar.Callback());
  if (!measured.ok()) return measured.status().Annotate(c.model);
  Json j = Json::MakeObject();
  j.Set("model", c.model);
  j.Set("calibration_images", std::min(c.calibrate, split.calibration.count));
  const Json cells = ToJson(*measured);
  for (const auto& [key, value] : cells.AsObject()) {
    j.Set(key, value);
  }
  if (!c.html.empty()) OCTET_TRY(WriteTextFile(c.html, S4dSensitivityHtml(*measured, c.model)));
  j = WithSchema("s4d.sensitivity", std::move(j));
  if (!c.output.empty()) OCTET_TRY(WriteTextFile(c.output, j.Dump(2) + "\n"));
  Print(c.json ? j.Dump(2) + "\n" : ToText(*measured));
  return {};
}

}  // namespace octet::cli
