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

// Flags that change nothing here are said, not obeyed in silence.
void WarnOfIdleFlags(const BenchCommand& c, const BenchField& field) {
  const auto any_step = [&](auto test) {
    return std::ranges::any_of(field.contestants, [&](const BenchContestant& contestant) {
      return std::ranges::any_of(contestant.subject.model->program().Kernels(), test);
    });
  };
  const auto bf16 = [](const StepKernels& s) {
    return s.prefill.find("bf16") != std::string::npos;
  };
  if (c.bf16 && !any_step(bf16)) {
    PrintWarning("--bf16 changes nothing: it needs a model in bf16 and a CPU with bf16 products");
  }
}

BenchOptions Options(const BenchCommand& c) {
  BenchOptions options;
  options.prefill = c.prefill;
  options.decode = c.decode;
  options.batch = c.batch;
  options.repeats = c.repeats;
  options.threads = c.threads;
  options.stages = c.stages || !c.roofline.empty();
  return options;
}

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
  const BenchOptions options = Options(c);
  const bool only_explain = c.explain && !options.measures() && c.batch.empty() && !options.stages;
  if (!only_explain) OCTET_TRY(Check(options));  // before minutes of work
  OCTET_TRY(CheckRoofline(c));
  OCTET_ASSIGN(const BenchField field, MakeBenchField(c));
  WarnOfIdleFlags(c, field);
  Json kernels = Json::MakeArray();
  std::vector<BenchSubject> subjects;
  for (const BenchContestant& contestant : field.contestants) {
    subjects.push_back(contestant.subject);
    if (!c.explain) continue;
    kernels.Append(KernelsJson(contestant));
    if (!c.json) Print(KernelsText(contestant));
  }
  Json j = Json::MakeObject();
  if (!only_explain) {
    ProgressBar bar;
    OCTET_ASSIGN(const BenchReport report, Bench(subjects, options, bar.Callback()));
    if (!c.roofline.empty()) OCTET_TRY(WriteRoofline(c, field.contestants.front(), report));
    if (!c.json) Print(BenchText(c, field, report));
    j = BenchJson(c, field, report);
  }
  if (!c.json) return {};
  if (c.explain) j.Set("kernels", std::move(kernels));
  PrintJson("bench", std::move(j));
  return {};
}

}  // namespace octet::cli
