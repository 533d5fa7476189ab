#include "edge/export_c.h"

#include <map>
#include <string_view>

#include <fmt/format.h>

#include "edge/c_source.h"
#include "edge/c_text.h"

namespace octet {
namespace {

// As README.md.in says.
constexpr int64_t kCodeBytes = 2900;
// Frames of the functions that a step calls, of gcc 12 -O2 on a Cortex-M4; up to 40 less if its
// layers are narrow.
constexpr int64_t kFrameBytes = 260;

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

Values ValuesOf(const IntegerS4d& m, const CExport& o) {
  std::string sizes, accuracy;
  for (const auto& [what, value] : SizeRows(m, o)) {
    sizes += fmt::format("{}| {} | {} |", sizes.empty() ? "" : "\n", what, value);
  }
  if (!o.accuracy.empty()) accuracy = "\n## Accuracy\n\n| | |\n|---|---|\n";
  for (const auto& [what, value] : o.accuracy) {
    accuracy += fmt::format("| {} | {:.2f} % |\n", what, 100 * value);
  }
  return {{"name", o.name},
          {"NAME", CUpper(o.name)},
          {"context_bytes", std::to_string(SizesOf(m).context)},
          {"frames", FramesText(o)},
          {"logit_scale", fmt::format("{:.9g}", m.logit_scale)},
          {"sizes", sizes},
          {"accuracy", accuracy},
          {"sequences", o.sample.empty() ? "9" : "10"},
          {"rounding", RoundingText(m)}};
}

}  // namespace

StepCost CostOf(const IntegerS4d& m) {
  StepCost cost;
  cost.linears = m.encoder.rows * m.encoder.columns;
  for (const IntegerLayer& l : m.layers) {
    cost.state += 8 * std::ssize(l.heads) * l.modes;
    cost.linears += 2 * l.value.rows * l.value.columns;
  }
  return cost;
}

int64_t InstructionsOf(const IntegerS4d& m) {
  const auto of_linear = [](const IntegerLinear& l) {
    return (l.packed ? 6 : 5) * l.rows * l.columns;
  };
  int64_t count = of_linear(m.encoder);
  for (const IntegerLayer& l : m.layers) {
    const int64_t mode = l.wide ? 111 : l.y_shift != 0 ? 58 : 54;
    count += std::ssize(l.heads) * (420 + mode * l.modes) + of_linear(l.value) + of_linear(l.gate);
  }
  return count;
}

std::vector<std::pair<std::string, int64_t>> SizeRows(const IntegerS4d& m, const CExport& o) {
  const CSizes s = SizesOf(m);
  const StepCost cost = CostOf(m);
  const auto pixels = static_cast<int64_t>(o.pixels.size());
  return {{"flash, tables: bytes", s.tables() + pixels},
          {"of them A", s.A},
          {"of them B", s.B},
          {"of them C", s.C},
          {"of them factors of heads", s.heads},
          {"of them GELU", s.gelu},
          {"of them linears", s.linears},
          {"flash, code: about bytes", kCodeBytes},
          {"RAM of a stream: bytes", s.context},
          {"of it states", s.state},
          {"stack of a step on a Cortex-M4: bytes", s.scratch + kFrameBytes},
          {"multiplications of a frame, recurrence", cost.state},
          {"multiplications of a frame, linears", cost.linears},
          {"instructions of a frame on a Cortex-M4: about", InstructionsOf(m)}};
}

Json ReportOf(const IntegerS4d& m, const CExport& o) {
  Json report = Json::MakeObject();
  report.Set("name", o.name);
  if (!o.source.empty()) report.Set("source", o.source);
  report.Set("inputs", m.inputs);
  report.Set("heads", m.heads);
  report.Set("classes", m.classes);
  Json layers = Json::MakeArray();
  for (const IntegerLayer& l : m.layers) {
    Json layer = Json::MakeObject();
    layer.Set("modes", l.modes);
    layer.Set("state_bytes", l.most_state <= 127 ? 1 : 2);
    layer.Set("sum_bits", l.wide ? 64 : 32);
    layer.Set("fraction_bits", l.k);
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
