#include "apps/cli/bench_ssd.h"

#include <string>
#include <vector>

#include <fmt/format.h>

#include "apps/cli/bench_report.h"
#include "apps/cli/bench_subjects.h"
#include "apps/cli/shared.h"
#include "apps/cli/term.h"
#include "eval/ssd_bench.h"
#include "kernels/isa.h"

namespace octet::cli {
namespace {

// By SsdStage, in the words of state-spaces/mamba, which the papers use.
constexpr const char* kNames[] = {"ChunkCumsum", "ChunkState", "StatePassing", "BMMChunk",
                                  "ChunkScan"};

const SsdTimes& TimesOf(const SsdBenchRow& row, size_t line) {
  return line < kSsdStages ? row.stages[line] : row.whole;
}

std::string NameOf(size_t line) {
  return line < kSsdStages ? kNames[line] : "SSD";
}

std::string Text(const SsdBenchReport& report, int repeats) {
  std::vector<std::string> header = {"us of a layer"};
  for (const SsdBenchRow& row : report.rows) {
    for (const char* form : {"fp32", "int8", "ratio"}) {
      header.push_back(fmt::format("{} {}", form, row.tokens));
    }
  }
  Table table(header);
  for (size_t line = 0; line <= kSsdStages; ++line) {
    std::vector<std::string> cells = {NameOf(line)};
    for (const SsdBenchRow& row : report.rows) {
      const SsdTimes& t = TimesOf(row, line);
      cells.push_back(fmt::format("{:.0f}", t.floats.median));
      cells.push_back(fmt::format("{:.0f}", t.codes.median));
      cells.push_back(fmt::format("{:.2f}", t.ratio.median));
    }
    table.Add(std::move(cells));
  }
  return fmt::format(
      "{}\nTokens of the prompt behind the form. {} heads of {}, states of {}, {}, chunks of {}\n"
      "tokens, fp32 state, one thread, {}. Medians of {}; a ratio is the median\n"
      "of those within repeats. Both forms are fused: a chunk stays in cache.\n"
      "Load average {:.2f}, CPU share {:.0f} %\n",
      table.Text(), report.heads, report.head_dim, report.state_size,
      FormatNumber(report.groups, "group"), report.chunk_size, CurrentIsa(),
      FormatNumber(repeats, "repeat"), report.load_average, 100 * report.cpu_share);
}

Json ToJson(const BenchCommand& c, const SsdBenchReport& report) {
  Json rows = Json::MakeArray();
  for (const SsdBenchRow& row : report.rows) {
    for (size_t line = 0; line <= kSsdStages; ++line) {
      const SsdTimes& t = TimesOf(row, line);
      Json j = Json::MakeObject();
      j.Set("tokens", row.tokens);
      j.Set("stage", NameOf(line));
      j.Set("fp32_us", SpreadJson(t.floats));
      j.Set("int8_us", SpreadJson(t.codes));
      j.Set("ratio", SpreadJson(t.ratio));
      rows.Append(std::move(j));
    }
  }
  Json j = Json::MakeObject();
  j.Set("model", c.models.front());
  j.Set("isa", CurrentIsa());
  j.Set("threads", 1);
  j.Set("repeats", c.repeats);
  j.Set("load_average", report.load_average);
  j.Set("cpu_share", report.cpu_share);
  j.Set("heads", report.heads);
  j.Set("head_dim", report.head_dim);
  j.Set("state_size", report.state_size);
  j.Set("groups", report.groups);
  j.Set("chunk_size", report.chunk_size);
  j.Set("ssd", std::move(rows));
  return j;
}

}  // namespace

Status RunBenchSsd(const BenchCommand& c) {
  OCTET_TRY(CheckOnce("--ssd", c.ssd));
  if (c.models.size() != 1 || c.isas.size() > 1) {
    return InvalidArgument("--ssd measures the shapes of one model on one instruction set");
  }
  if (!c.isas.empty()) OCTET_TRY(ForceIsa(c.isas.front()).Annotate("--isa"));
  OCTET_ASSIGN(const auto model, LoadModel(c.models.front(), c.chunk_size));
  ProgressBar bar;
  OCTET_ASSIGN(const SsdBenchReport report, BenchSsd(*model, c.ssd, c.repeats, bar.Callback()));
  if (c.json) {
    PrintJson("bench", ToJson(c, report));
  } else {
    Print(Text(report, c.repeats));
  }
  return {};
}

}  // namespace octet::cli
