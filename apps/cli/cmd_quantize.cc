#include <algorithm>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/shared.h"
#include "base/version.h"
#include "io/output_folder.h"
#include "kernels/isa.h"
#include "quant/work_folder.h"

namespace octet::cli {
namespace {

namespace fs = std::filesystem;

Result<Json> ParseOptions(const std::vector<std::string>& options) {
  Json given = Json::MakeObject();
  for (const std::string& o : options) {
    const size_t equals = o.find('=');
    if (equals == o.npos || equals == 0) {
      return InvalidArgument(fmt::format("--option {}: must be KEY=VALUE", o));
    }
    given.Set(o.substr(0, equals), o.substr(equals + 1));
  }
  return given;
}

// Fails now, rather than after minutes of work, when the folder could not be written.
Status ProbeOutput(const std::string& output) {
  return OutputFolder::Create(output).status();
}

// Beside the output folder, so that it is on the same disk.
std::string WorkPath(const std::string& output) {
  std::error_code error;
  fs::path target = fs::absolute(output, error).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();
  return target.string() + ".partial";
}

// Everything that determines the bytes of the result. The model's files stand for their content by
// size and time: reading all of them would take as long as quantizing some blocks.
Json DescribeRun(const RecipeRun& recipe, const std::string& model, const Json& calibration) {
  Json files = Json::MakeArray();
  std::error_code error;
  for (const auto& file : fs::directory_iterator(model, error)) {
    const std::string extension = file.path().extension().string();
    if (extension != ".safetensors" && extension != ".bin" && extension != ".json") continue;
    const std::string name = file.path().filename().string();
    const auto time = file.last_write_time(error).time_since_epoch().count();
    files.Append(fmt::format("{} {} {}", name, file.file_size(error), time));
  }
  std::ranges::sort(files.AsArray(), {}, [](const Json& f) { return f.AsString(); });
  Json run = Json::MakeObject();
  run.Set("model", files);
  run.Set("recipe", recipe.name);
  run.Set("options", recipe.options);
  run.Set("plan", ToJson(recipe.plan));
  run.Set("calibration", calibration);
  run.Set("version", kVersion);
  run.Set("instruction sets", static_cast<int64_t>(AllowedIsas()));
  return run;
}

Result<WorkFolder> OpenWork(const std::string& output, const Json& run, int layers) {
  OCTET_ASSIGN(WorkFolder work, WorkFolder::Open(WorkPath(output), run));
  if (!work.discarded().empty()) {
    PrintNotice(
        fmt::format("{} is of another run ({}); starting again", work.path(), work.discarded()));
  } else if (work.finished() > 0) {
    PrintNotice(fmt::format("going on after block {} of {}, as {} has it", work.finished(), layers,
                            work.path()));
  }
  return work;
}

// Mistakes in the recipe's name or options, before a model is loaded.
Status CheckRecipe(const std::string& recipe, const Json& options) {
  const Status s = PlanRecipeNamed(recipe, options, Family::kMamba2).status();
  return s.code() == Code::kUnsupported ? PlanRecipeNamed(recipe, options, Family::kMamba).status()
                                        : s;
}

Json Strings(const std::vector<std::string>& texts) {
  Json array = Json::MakeArray();
  for (const std::string& t : texts) {
    array.Append(t);
  }
  return array;
}

struct Summary {
  const QuantizeCommand& command;
  const CheckedModel& checked;
  const std::vector<std::string>& warnings;
  int64_t bytes_before, bytes_after;
  bool written;
};

Json ToJson(const Summary& s) {
  const SelfCheckReport& check = s.checked.check;
  Json j = Json::MakeObject();
  j.Set("output", s.written ? Json(s.command.output) : Json());
  for (const char* key : {"recipe", "options", "calibration"}) {
    j.Set(key, *s.checked.model.config.Find(key));
  }
  j.Set("bytes_before", s.bytes_before);
  j.Set("bytes_after", s.bytes_after);
  j.Set("kl_mean", check.kl_mean);
  j.Set("top1_agreement", check.top1_agreement);
  j.Set("self_check", check.ToJson());
  j.Set("saturated_sites", Strings(check.SaturatedSites()));
  j.Set("warnings", Strings(s.warnings));
  j.Set("failures", Strings(check.Failures()));
  return j;
}

std::string ToText(const Summary& s) {
  const SelfCheckReport& check = s.checked.check;
  std::string text;
  const auto line = [&](std::string_view name, const std::string& value) {
    text += fmt::format("{:<22} {}\n", name, value);
  };
  line("recipe", s.command.recipe);
  line("size of the weights",
       fmt::format("{} -> {} ({:.2f} times smaller)", FormatBytes(s.bytes_before),
                   FormatBytes(s.bytes_after),
                   static_cast<double>(s.bytes_before) / static_cast<double>(s.bytes_after)));
  line("mean KL from float", fmt::format("{} nats per token over {} tokens",
                                         FormatDecimals(check.kl_mean), check.tokens));
  line("same most likely token", FormatPercent(check.top1_agreement));
  line("simulated mismatches", fmt::format("{} in {} tokens (integers against the simulation)",
                                           check.simulated_mismatches, check.simulated_tokens));
  const std::vector<std::string> saturated = check.SaturatedSites();
  line("saturated sites", saturated.empty() ? "none" : fmt::format("{}", saturated.size()));
  if (s.written) line("written to", s.command.output);
  return text;
}

Status Broken(const SelfCheckReport& check) {
  return {Code::kQualityGate,
          fmt::format("the quantized model is broken and was not written (--force writes it): {}",
                      fmt::join(check.Failures(), "; "))};
}

void PrintWarnings(const SelfCheckReport& check) {
  if (const std::vector<std::string> sites = check.SaturatedSites(); !sites.empty()) {
    PrintWarning(fmt::format("more than 1 value in 1000 is beyond the scale at {} sites, first {}",
                             sites.size(), sites.front()));
  }
  for (const std::string& f : check.Failures()) {
    PrintWarning(f);
  }
}

}  // namespace

Status Run(const QuantizeCommand& c) {
  OCTET_ASSIGN(const Json given, ParseOptions(c.options));
  OCTET_TRY(CheckRecipe(c.recipe, given));
  OCTET_TRY(ProbeOutput(c.output));
  OCTET_ASSIGN(const FloatCheckpoint source, LoadFloatCheckpoint(c.model));
  OCTET_ASSIGN(const RecipeRun recipe, PlanRecipeNamed(c.recipe, given, FamilyOf(source.graph)));
  OCTET_ASSIGN(const auto model, LoadModel(c.model, 0));
  ProgressBar bar;
  OCTET_ASSIGN(const CalibrationText text,
               LoadCalibration(c.calibration, c.samples, c.length, c.seed, model, c.threads,
                               bar.Callback()));
  OCTET_ASSIGN(WorkFolder work,
               OpenWork(c.output, DescribeRun(recipe, c.model, text.record), source.graph.layers));
  const Result<CheckedModel> result =
      QuantizeAndCheck(recipe, source, text, c.threads, bar.Callback(), &work);
  // After a full disk or the like the finished blocks are good; after anything else they are not.
  if (!result.ok() && result.status().code() != Code::kIo) OCTET_TRY(work.Remove());
  if (!result.ok()) return result.status();
  const CheckedModel& checked = *result;
  const bool written = checked.check.Failures().empty() || c.force;
  if (written) OCTET_TRY(WriteModelFolder(checked.model, source, c.model, c.output));
  OCTET_TRY(work.Remove());
  const Summary summary{c,
                        checked,
                        source.warnings,
                        StoredBytes(source.graph, source.weights),
                        StoredBytes(checked.model.graph, checked.model.weights),
                        written};
  if (c.json) {
    PrintJson("quantize", ToJson(summary));
  } else {
    Print(ToText(summary));
  }
  OCTET_TRY(Flush());
  if (!written) return Broken(checked.check);
  PrintWarnings(checked.check);
  return {};
}

}  // namespace octet::cli
