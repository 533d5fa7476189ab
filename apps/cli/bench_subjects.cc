#include "apps/cli/bench_subjects.h"

#include <algorithm>

#include <fmt/format.h>

#include "apps/cli/demo_folder.h"
#include "apps/cli/shared.h"
#include "apps/cli/term.h"
#include "base/parallel.h"
#include "kernels/isa.h"

namespace octet::cli {
namespace {

// Of text that the model writes: enough for scales that speed does not depend on.
constexpr int64_t kCalibrationSamples = 8;
constexpr int64_t kCalibrationLength = 256;

// A folder to load, before it is known on what.
struct Source {
  std::string path;                  // of the model to load
  std::string folder, name, recipe;  // as in BenchContestant
};

// Quantizes `folder` by each of the recipes into folders of `output`.
Result<std::vector<Source>> QuantizeAll(const BenchCommand& c, const std::string& name,
                                        const TemporaryFolder& output) {
  const std::string& folder = c.models.front();
  OCTET_ASSIGN(const FloatCheckpoint source, LoadFloatCheckpoint(folder));
  std::vector<RecipeRun> runs;
  for (const std::string& recipe : c.recipes) {
    OCTET_ASSIGN(runs.emplace_back(), PlanRecipeNamed(recipe, Json(), FamilyOf(source.graph)));
  }
  OCTET_ASSIGN(const auto reference, LoadModel(folder, source));
  ProgressBar bar;
  const int threads = AvailableThreads();
  PrintStep(fmt::format("{} writes text to calibrate on", name));
  OCTET_ASSIGN(const CalibrationText text,
               LoadCalibration({"self", kCalibrationSamples, kCalibrationLength, 0}, reference,
                               threads, bar.Callback()));
  std::vector<Source> sources;
  for (size_t i = 0; i < runs.size(); ++i) {
    PrintStep(fmt::format("Quantizing {}: {}", name, c.recipes[i]));
    OCTET_ASSIGN(const CheckedModel checked,
                 QuantizeAndCheck(runs[i], source, text, threads, bar.Callback()));
    for (const std::string& f : checked.check.Failures()) {
      PrintWarning(c.recipes[i] + ": " + f);
    }
    const std::string path = fmt::format("{}/{}", output.path(), i);
    OCTET_TRY(WriteModelFolder(checked.model, source, folder, path));
    sources.push_back({path, folder, c.recipes[i], c.recipes[i]});
  }
  return sources;
}

Status CheckLists(const BenchCommand& c) {
  OCTET_TRY(CheckOnce("--isa", c.isas));
  OCTET_TRY(CheckOnce("--recipes", c.recipes));
  OCTET_TRY(CheckOnce("--threads", c.threads));
  OCTET_TRY(CheckOnce("--prefill", c.prefill));
  OCTET_TRY(CheckOnce("--batch", c.batch));
  if (!c.recipes.empty() && c.models.size() > 1) {
    return InvalidArgument("--recipes quantizes one float model, but several are given");
  }
  return {};
}

}  // namespace

Result<BenchField> MakeBenchField(const BenchCommand& c) {
  OCTET_TRY(CheckLists(c));
  const std::vector<std::string> isas = c.isas.empty() ? std::vector<std::string>{""} : c.isas;
  for (const std::string& isa : c.isas) {  // before minutes of work
    OCTET_TRY(ForceIsa(isa).Annotate("--isa"));
  }
  if (!c.isas.empty()) OCTET_TRY(ForceIsaFromEnvironment());
  BenchField field;
  const std::vector<std::string> names = DistinctNames(c.models);
  std::vector<Source> sources;
  for (size_t i = 0; i < c.models.size(); ++i) {
    sources.push_back({c.models[i], c.models[i], Printable(names[i]), ""});
  }
  if (!c.recipes.empty()) {
    OCTET_ASSIGN(TemporaryFolder folder, CreateSystemTemporaryFolder("bench"));
    OCTET_ASSIGN(const std::vector<Source> quantized, QuantizeAll(c, sources.front().name, folder));
    sources.insert(sources.end(), quantized.begin(), quantized.end());
    field.folder.emplace(std::move(folder));
  }
  for (const Source& s : sources) {
    for (const std::string& isa : isas) {
      if (!isa.empty()) OCTET_TRY(ForceIsa(isa));
      OCTET_ASSIGN(auto model, LoadModel(s.path, c.chunk_size, c.bf16));
      field.contestants.push_back({s.folder, s.name, s.recipe, CurrentIsa(), {model, isa}});
    }
  }
  return field;
}

}  // namespace octet::cli
