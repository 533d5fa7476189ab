#include <algorithm>

#include <fmt/format.h>

#include "apps/cli/bench_report.h"
#include "apps/cli/bench_ssd.h"
#include "apps/cli/bench_subjects.h"
#include "apps/cli/commands.h"
#include "apps/cli/roofline_svg.h"
#include "apps/cli/shared.h"
#include "eval/bench.h"

namespace octet::cli {
namespace {

Json KernelsJson(const BenchContestant& contestant) {
  Json steps = Json::MakeArray();
  for (const StepKernels& s : contestant.subject.model->program().Kernels()) {
    Json step = Json::MakeObject();
    step.Set("site", s.site);
    step.Set("decode", s.decode);
    step.Set("prefill", s.prefill);
    steps.Append(std::move(step));
  }
  Json j = Json::MakeObject();
  j.Set("model", contestant.folder);
  j.Set("isa", contestant.isa);
  j.Set("steps", std::move(steps));
  return j;
}

std::string KernelsText(const BenchContestant& contestant) {
  Table table({"site", "for decode", "for prefill"}, Table::Align::kLeft);
  for (const StepKernels& s : contestant.subject.model->program().Kernels()) {
    table.Add({s.site, s.decode, s.prefill});
  }
  return fmt::format("{}: kernels on {}\n{}\n", contestant.name, contestant.isa, table.Text());
}

// Before minutes of work.
Status CheckRoofline(const BenchCommand& c) {
  if (c.roofline.empty()) return {};
  const size_t all = c.models.size() * std::max<size_t>(1, c.isas.size()) * c.threads.size();
  if (all != 1 || !c.recipes.empty() || c.prefill.size() != 1) {
    return InvalidArgument(
        "--roofline plots one model on one instruction set, one number of threads and one prompt");
  }
  return ProbeReports(c.models.front(), std::vector<std::string>{c.roofline});
}

Status WriteRoofline(const BenchCommand& c, const BenchContestant& contestant,
                     const BenchReport& report) {
  std::vector<const BenchRow*> rows;
  for (const BenchRow& row : report.rows) {
    if (row.stages) rows.push_back(&row);
  }
  const std::string title = fmt::format("{} on {}, {}", contestant.name, contestant.isa,
                                        FormatNumber(c.threads.front(), "thread"));
  return WriteTextFile(c.roofline, RooflineSvg(title, report.roofs.front(), rows));
}

}  // namespace

Status Run(const BenchCommand& c) {
  if (!c.ssd.empty()) return RunBenchSsd(c);
  OCTET_TRY(CheckRoofline(c));
  OCTET_ASSIGN(const BenchField field, MakeBenchField(c));
  Json kernels = Json::MakeArray();
  std::vector<BenchSubject> subjects;
  for (const BenchContestant& contestant : field.contestants) {
    subjects.push_back(contestant.subject);
    if (!c.explain) continue;
    kernels.Append(KernelsJson(contestant));
    if (!c.json) Print(KernelsText(contestant));
  }
  BenchOptions options;
  options.prefill = c.prefill;
  options.decode = c.decode;
  options.batch = c.batch;
  options.repeats = c.repeats;
  options.threads = c.threads;
  options.stages = c.stages || !c.roofline.empty();
  ProgressBar bar;
  OCTET_ASSIGN(const BenchReport report, Bench(subjects, options, bar.Callback()));
  if (!c.roofline.empty()) OCTET_TRY(WriteRoofline(c, field.contestants.front(), report));
  if (!c.json) {
    Print(BenchText(c, field, report));
    return {};
  }
  Json j = BenchJson(c, field, report);
  if (c.explain) j.Set("kernels", std::move(kernels));
  PrintJson("bench", std::move(j));
  return {};
}

}  // namespace octet::cli
