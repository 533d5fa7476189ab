#include <algorithm>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/sensitivity_html.h"
#include "apps/cli/shared.h"

namespace octet::cli {
namespace {

constexpr size_t kLineWidth = 80;

// Blocks as rows, the items with these headings as columns.
std::string BlockTable(const Sensitivity& s, const std::vector<std::string>& columns) {
  std::vector<std::string> header = {"block"};
  header.insert(header.end(), columns.begin(), columns.end());
  Table table(header);
  for (int layer = 0; layer < s.layers; ++layer) {
    std::vector<std::string> row(header.size());
    row[0] = fmt::format("{}", layer);
    for (const SensitivityItem& i : s.items) {
      if (i.layer != layer) continue;
      const auto at = std::ranges::find(columns, ColumnOf(i));
      if (at != columns.end()) {
        row[static_cast<size_t>(at - columns.begin()) + 1] = fmt::format("{:.1e}", i.kl);
      }
    }
    table.Add(std::move(row));
  }
  return table.Text();
}

// The parts of blocks, in as many tables as lines of 80 columns need.
std::string BlockTables(const Sensitivity& s) {
  std::vector<std::string> seen, columns;
  std::string text;
  size_t width = 5;
  for (const SensitivityItem& i : s.items) {
    const std::string column = ColumnOf(i);
    if (i.layer < 0 || std::ranges::find(seen, column) != seen.end()) continue;
    const size_t own = 2 + std::max<size_t>(7, column.size());
    if (!columns.empty() && width + own > kLineWidth) {
      text += BlockTable(s, columns) + "\n";
      columns.clear();
      width = 5;
    }
    seen.push_back(column);
    columns.push_back(column);
    width += own;
  }
  return text + BlockTable(s, columns) + "\n";
}

std::string ToText(const Sensitivity& s) {
  Table ends({"outside the blocks", "KL", "standard error", "bytes", "in fp16"});
  for (const SensitivityItem& i : s.items) {
    if (i.layer >= 0) continue;
    const bool site = i.kind == SensitivityItem::Kind::kSite;
    ends.Add({ColumnOf(i), fmt::format("{:.1e}", i.kl), fmt::format("{:.1e}", i.kl_error),
              site ? "" : FormatCount(i.bytes), site ? "" : FormatCount(i.f16_bytes)});
  }
  return fmt::format(
      "{}{}\nMean KL(float || one part quantized), nats per token, on {} tokens in {} pieces.\n"
      "in_proj:4 is that matrix in 4 bits; names without a number are sites and vectors.\n",
      BlockTables(s), ends.Text(), s.tokens, s.documents);
}

}  // namespace

Status Run(const SensitivityCommand& c) {
  if (c.bits.size() == 2 && c.bits[0] == c.bits[1]) {
    return InvalidArgument("--bits names a width twice");
  }
  // Fails now, rather than after minutes of work, when the results could not be written.
  const std::string reports[] = {c.html, c.output};
  OCTET_TRY(ProbeReports(c.model, reports));
  OCTET_ASSIGN(const FloatCheckpoint source, LoadFloatCheckpoint(c.model));
  const Family family = FamilyOf(source.graph);
  const std::string name = c.recipe.empty() ? DefaultBaseRecipe(family) : c.recipe;
  OCTET_ASSIGN(const RecipeRun base, PlanRecipeNamed(name, Json(), family));
  OCTET_ASSIGN(const auto model, LoadModel(c.model, source));
  ProgressBar bar;
  OCTET_ASSIGN(CalibrationText text,
               LoadCalibration({c.text, c.samples * (kCalibrationPieces + 1), c.length, c.seed},
                               model, c.threads, bar.Callback()));
  const TokenDataset sample = TakeSample(c.samples, &text.data);
  if (sample.documents.size() < 2 || text.data.documents.empty()) {
    return InvalidArgument(
        fmt::format("{}: too short to calibrate on some pieces of {} tokens and measure on two "
                    "others; --length makes them shorter",
                    c.text, c.length));
  }
  if (std::ssize(sample.documents) < c.samples) {
    PrintWarning(fmt::format("the text has only {} to measure on beside those that calibrate",
                             FormatNumber(std::ssize(sample.documents), "piece")));
  }
  ThreadPool pool(c.threads);
  OCTET_ASSIGN(const Sensitivity s,
               MeasureSensitivity(base.plan, source.graph, source.weights, text.data, sample,
                                  {c.bits, false}, &pool, bar.Callback()));
  Json j = Json::MakeObject();
  j.Set("model", c.model);
  j.Set("recipe", name);
  j.Set("text", text.record);
  j.Set("calibration_documents", static_cast<int64_t>(text.data.documents.size()));
  const Json measured = s.ToJson();
  for (const auto& [key, value] : measured.AsObject()) {
    j.Set(key, value);
  }
  if (!c.html.empty()) OCTET_TRY(WriteTextFile(c.html, SensitivityHtml(s, c.model, name)));
  j = WithSchema("sensitivity", std::move(j));
  if (!c.output.empty()) OCTET_TRY(WriteTextFile(c.output, j.Dump(2) + "\n"));
  if (c.json) {
    Print(j.Dump(2) + "\n");
  } else {
    Print(ToText(s));
  }
  return {};
}

}  // namespace octet::cli
