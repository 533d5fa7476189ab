#include <algorithm>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/s4d_images.h"
#include "apps/cli/s4d_model.h"
#include "apps/cli/s4d_sensitivity_html.h"
#include "apps/cli/shared.h"
#include "quant/s4d/sensitivity.h"

namespace octet::cli {
namespace {

Result<S4dSensitivity> Measure(const S4dSensitivityCommand& c, const FloatCheckpoint& model,
                               const ImageSplit& split, const Progress& progress) {
  OCTET_ASSIGN(const PixelScale scale, ScaleOf(c.model, c.images));
  S4dModel quantized{model, S4dQuantization()};
  OCTET_ASSIGN(quantized.quantization->ranges,
               Calibrate(model, split.calibration, c.calibrate, scale, c.threads));
  const ClassifyOptions options{scale, c.images.limit, c.threads};
  const auto classify = [&](const S4dPlan& plan) {
    quantized.quantization->plan = plan;
    return ClassifyS4d(quantized, split.measured, options, {});
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
  OCTET_TRY(CheckDistinct(c.bits));
  const std::string reports[] = {c.html, c.output};
  OCTET_TRY(ProbeReports(c.model, reports));
  OCTET_ASSIGN(const FloatCheckpoint model, LoadFloatS4dModel(c.model));
  OCTET_ASSIGN(const ImageSplit split, LoadSplit(c.images, c.calibrate, "sensitivity"));
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
