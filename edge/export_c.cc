#include "edge/export_c.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include "base/sha256.h"
#include "edge/c_source.h"
#include "edge/c_text.h"

namespace octet {
namespace {

// As README.md.in says.
constexpr int64_t kCodeBytes = 2900;
constexpr int64_t kNormCodeBytes = 500;
// Frames of the functions that a step calls, of gcc 12 -O2 on a Cortex-M4; up to 40 less if its
// layers are narrow.
constexpr int64_t kFrameBytes = 252;

struct CFile {
  std::string_view name, text;
};
constexpr CFile kFiles[] = {
#include "c_files.inc"
};

std::string_view FileNamed(std::string_view name) {
  for (const CFile& f : kFiles) {
    if (f.name == name) return f.text;
  }
  return {};
}

using Values = std::map<std::string, std::string, std::less<>>;

// The text with each {{key}} replaced by its value.
std::string Filled(std::string_view text, const Values& values) {
  std::string filled;
  while (true) {
    const size_t begin = text.find("{{");
    filled += text.substr(0, begin);
    if (begin == text.npos) return filled;
    const size_t end = text.find("}}", begin);
    const auto it = values.find(text.substr(begin + 2, end - begin - 2));
    if (it != values.end()) filled += it->second;
    text.remove_prefix(end + 2);
  }
}

Status CheckOptions(const IntegerS4d& m, const CExport& o) {
  OCTET_TRY(CheckCName(o.name));
  if (o.length < 1 || o.length > 1000000) {
    return InvalidArgument(fmt::format("a length of {} frames is not 1 to 1000000", o.length));
  }
  if (std::ssize(o.sample) % m.inputs != 0) {
    return InvalidArgument(
        fmt::format("a sample of {} codes is not whole frames of {}", o.sample.size(), m.inputs));
  }
  if (!o.pixels.empty() && o.pixels.size() != 256) {
    return InvalidArgument(fmt::format("codes of {} pixel values, not 256", o.pixels.size()));
  }
  return {};
}

std::string FramesText(const CExport& o) {
  if (o.pixels.empty()) {
    return "The head of the header says which code a value of a frame has.\n";
  }
  return fmt::format("`{}_pixel[byte]` is the code of a byte of an image.\n", o.name);
}

std::string RoundingText(const IntegerS4d& m) {
  bool dithered = false;
  for (const IntegerLayer& l : m.layers) {
    dithered = dithered || l.dithered;
  }
  if (!dithered) return "States are rounded to nearest.";
  return "States are rounded with a hash of the number of the frame and the head: the same in "
         "every\n"
         "run, without a generator to save.";
}

// Which layers keep A and B in 16 bytes for a mode, and why.
std::string PlainText(const IntegerS4d& m) {
  std::string text;
  for (const IntegerLayer& l : m.layers) {
    if (!l.packed) text += fmt::format("\n- {}", l.plain_because);
  }
  if (text.empty()) return "A and B of a mode, pole and input, take 8 bytes.\n";
  return "A and B of a mode, pole and input, take 8 bytes, but 16 in the layers of these:\n" +
         text + "\n";
}

constexpr const char* kNotMeasured =
    "accuracy, values that are cut off and distances from float were not measured: no images were "
    "given";

std::string AccuracyText(const CExport& o) {
  std::string text = "\n## Accuracy\n\n| | |\n|---|---|\n";
  for (const auto& [what, value] : o.accuracy) {
    text += fmt::format("| {} | {:.2f} % |\n", what, 100 * value);
  }
  return o.accuracy.empty() ? "" : text;
}

std::string SitesText(const CExport& o) {
  if (o.sites.empty()) return "";
  std::string text = fmt::format(
      "\n## Tensors\n\nThe integers next to the float model, {}: signal to noise, and how many\n"
      "values lay beyond their codes and were cut off.\n\n"
      "| tensor | SQNR | values | cut off |\n|---|---|---|---|\n",
      o.sites_of);
  for (const SiteError& e : o.sites) {
    text += fmt::format("| {} | {:.1f} dB | {} | {} |\n", e.site, e.sqnr(), e.values, e.cut);
  }
  return text;
}

Json SitesJson(const CExport& o) {
  Json sites = Json::MakeArray();
  for (const SiteError& e : o.sites) {
    Json site = Json::MakeObject();
    site.Set("site", e.site);
    if (std::isfinite(e.sqnr())) site.Set("sqnr_db", e.sqnr());
    site.Set("values", e.values);
    site.Set("cut_off", e.cut);
    sites.Append(std::move(site));
  }
  return sites;
}

Values ValuesOf(const IntegerS4d& m, const CExport& o) {
  std::string sizes, measured = AccuracyText(o) + SitesText(o);
  for (const auto& [what, value] : SizeRows(m, o)) {
    sizes += fmt::format("{}| {} | {} |", sizes.empty() ? "" : "\n", what, value);
  }
  if (measured.empty()) measured = fmt::format("\nIn this export {}.\n", kNotMeasured);
  if (!o.recipe_sha256.empty()) {
    measured += fmt::format("\nSHA-256 of the recipe: `{}`\n", o.recipe_sha256);
  }
  return {{"name", o.name},
          {"NAME", CUpper(o.name)},
          {"context_bytes", std::to_string(SizesOf(m).context)},
          {"frames", FramesText(o)},
          {"logit_scale", fmt::format("{:.9g}", m.logit_scale)},
          {"sizes", sizes},
          {"measured", measured},
          {"sequences", o.sample.empty() ? "9" : "10"},
          {"plain", PlainText(m)},
          {"rounding", RoundingText(m)}};
}

}  // namespace

std::string RecipeHash(const S4dPlan& plan) {
  const std::string text = ToJson(plan).Dump(-1);
  return Sha256Hex(std::as_bytes(std::span(text)));
}

StepCost CostOf(const IntegerS4d& m) {
  StepCost cost;
  cost.linears = m.encoder.rows * m.encoder.columns;
  for (const IntegerLayer& l : m.layers) {
    cost.state += 8 * std::ssize(l.heads) * l.modes;
    cost.linears += 2 * l.value.rows * l.value.columns;
    if (l.norm) cost.norms += 3 * std::ssize(l.heads);
  }
  return cost;
}

int64_t InstructionsOf(const IntegerS4d& m) {
  const auto of_linear = [](const IntegerLinear& l) {
    return (l.packed ? 6 : 5) * l.rows * l.columns;
  };
  int64_t count = of_linear(m.encoder);
  for (const IntegerLayer& l : m.layers) {
    const int64_t plain = l.wide ? 105 : l.y_shift != 0 ? 51 : 47;
    const int64_t unpacking = !l.packed ? 0 : l.wide ? 23 : l.y_shift != 0 ? 13 : 11;
    const int64_t mode = plain + unpacking + (l.dithered ? 9 : 0);
    count += std::ssize(l.heads) * (420 + mode * l.modes) + of_linear(l.value) + of_linear(l.gate);
    if (l.norm) count += 210 + 61 * std::ssize(l.heads);
  }
  return count;
}

std::vector<std::pair<std::string, int64_t>> SizeRows(const IntegerS4d& m, const CExport& o) {
  const CSizes s = SizesOf(m);
  const StepCost cost = CostOf(m);
  const auto pixels = static_cast<int64_t>(o.pixels.size());
  std::vector<std::pair<std::string, int64_t>> rows = {
      {"flash, tables: bytes", s.tables() + pixels},
      {"of them A", s.A},
      {"of them B", s.B},
      {"of them C", s.C},
      {"of them factors of heads", s.heads},
      {"of them GELU", s.gelu},
      {"of them linears", s.linears}};
  const bool norms = s.norms > 0;
  if (norms) rows.emplace_back("of them norms", s.norms);
  rows.insert(rows.end(), {{"flash, code: about bytes", kCodeBytes + (norms ? kNormCodeBytes : 0)},
                           {"RAM of a stream: bytes", s.context},
                           {"of it states", s.state},
                           {"stack of a step on a Cortex-M4: bytes", s.scratch + kFrameBytes},
                           {"multiplications of a frame, recurrence", cost.state},
                           {"multiplications of a frame, linears", cost.linears}});
  if (norms) rows.emplace_back("multiplications of a frame, norms", cost.norms);
  rows.emplace_back("instructions of a frame on a Cortex-M4: about", InstructionsOf(m));
  return rows;
}

Json ReportOf(const IntegerS4d& m, const CExport& o) {
  Json report = Json::MakeObject();
  report.Set("name", o.name);
  if (!o.source.empty()) report.Set("source", o.source);
  if (!o.recipe_sha256.empty()) report.Set("recipe_sha256", o.recipe_sha256);
  report.Set("inputs", m.inputs);
  report.Set("heads", m.heads);
  report.Set("classes", m.classes);
  Json layers = Json::MakeArray();
  for (const IntegerLayer& l : m.layers) {
    Json layer = Json::MakeObject();
    layer.Set("modes", l.modes);
    layer.Set("state_bytes", l.most_state <= 127 ? 1 : 2);
    layer.Set("sum_bits", l.wide ? 64 : 32);
    layer.Set("fraction_bits", std::ranges::min(l.heads, {}, &IntegerHead::k).k);
    layer.Set("packed", l.packed);
    if (!l.packed) layer.Set("plain_because", l.plain_because);
    layer.Set("dithered", l.dithered);
    layers.Append(std::move(layer));
  }
  report.Set("layers", std::move(layers));
  Json sizes = Json::MakeObject(), accuracy = Json::MakeObject();
  for (const auto& [what, value] : SizeRows(m, o)) {
    sizes.Set(what, value);
  }
  report.Set("sizes", std::move(sizes));
  for (const auto& [what, value] : o.accuracy) {
    accuracy.Set(what, value);
  }
  if (!o.accuracy.empty()) report.Set("accuracy", std::move(accuracy));
  if (!o.sites.empty()) {
    report.Set("sites_of", o.sites_of);
    report.Set("sites", SitesJson(o));
  }
  if (o.accuracy.empty() && o.sites.empty()) report.Set("note", kNotMeasured);
  return report;
}

Status WriteC(const IntegerS4d& m, const CExport& o, OutputFolder* folder) {
  OCTET_TRY(CheckOptions(m, o));
  const std::string model = "model_" + o.name;
  OCTET_TRY(folder->WriteFile(model + ".h", CHeaderOf(m, o.name, !o.pixels.empty())));
  OCTET_TRY(folder->WriteFile(model + ".c", CSourceOf(m, o.name, o.pixels)));
  OCTET_TRY(folder->WriteFile(model + "_golden.c", CGoldenOf(m, o.name, o.length, o.sample)));
  for (const char* file : {"ssm_rt.h", "ssm_rt.c"}) {
    OCTET_TRY(folder->WriteFile(file, FileNamed(file)));
  }
  const Values values = ValuesOf(m, o);
  for (const char* file :
       {"main.c", "CMakeLists.txt", "Makefile", "library.properties", "README.md"}) {
    OCTET_TRY(folder->WriteFile(file, Filled(FileNamed(std::string(file) + ".in"), values)));
  }
  return folder->WriteFile("report.json", ReportOf(m, o).Dump() + "\n");
}

}  // namespace octet
