#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/shared.h"
#include "base/version.h"
#include "io/file_writer.h"
#include "io/output_folder.h"
#include "kernels/isa.h"
#include "quant/auto_recipe.h"
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
    const std::string key = o.substr(0, equals);
    if (given.Find(key) != nullptr) {
      return InvalidArgument(fmt::format("--option {}: {} is given twice", o, key));
    }
    given.Set(key, o.substr(equals + 1));
  }
  return given;
}

// Fails now, rather than after minutes of work, when the results could not be written.
Status ProbeOutputs(const QuantizeCommand& c) {
  if (!c.save_recipe.empty()) OCTET_TRY(ProbeFile(c.save_recipe));
  return OutputFolder::Create(c.output).status();
}

constexpr const char* kAuto = "auto";

// What a budget or a largest KL is for, before a model is loaded.
Status CheckAuto(const QuantizeCommand& c) {
  const bool limited = c.budget_mb > 0 || c.max_kl > 0;
  if (c.recipe == kAuto && !limited) {
    return InvalidArgument("--recipe auto needs --budget-mb or --max-kl");
  }
  if (c.recipe != kAuto && limited) {
    return InvalidArgument("--budget-mb and --max-kl are for --recipe auto");
  }
  return {};
}

// Takes the recipe that auto starts from out of the options.
Result<std::string> TakeBase(Json* options, std::string fallback) {
  const Json* base = options->Find("base");
  if (base == nullptr) return fallback;
  std::string name = base->AsString();
  if (name == kAuto) return InvalidArgument("--option base=auto: must be another recipe");
  options->Erase("base");
  return name;
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
    PrintNote(
        fmt::format("{} is of another run ({}); starting again", work.path(), work.discarded()));
  } else if (work.finished() > 0) {
    PrintNote(fmt::format("going on after block {} of {}, as {} has it", work.finished(), layers,
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
  const std::vector<AutoAttempt>& attempts;  // of recipe auto
  std::optional<double> alpha;               // that a sweep has chosen
  std::vector<std::string> warnings;         // of loading, which prints them, and others
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
  if (s.alpha) j.Set("alpha", *s.alpha);
  j.Set("bytes_before", s.bytes_before);
  j.Set("bytes_after", s.bytes_after);
  j.Set("kl_mean", check.kl_mean);
  j.Set("top1_agreement", check.top1_agreement);
  j.Set("self_check", check.ToJson());
  j.Set("saturated_sites", Strings(check.SaturatedSites()));
  j.Set("warnings", Strings(s.warnings));
  j.Set("failures", Strings(check.Failures()));
  if (!s.attempts.empty()) {
    Json attempts = Json::MakeArray();
    for (const AutoAttempt& a : s.attempts) {
      attempts.Append(a.ToJson());
    }
    j.Set("attempts", std::move(attempts));
  }
  return j;
}

std::string ToText(const Summary& s) {
  const SelfCheckReport& check = s.checked.check;
  std::string text;
  const auto line = [&](std::string_view name, const std::string& value) {
    text += fmt::format("{:<22} {}\n", name, value);
  };
  line("recipe", s.command.recipe);
  const Json& calibration = *s.checked.model.config.Find("calibration");
  line("calibrated on", calibration.is_null()
                            ? "nothing: the recipe needs no text"
                            : FormatNumber(calibration.Find("tokens")->AsInt(), "token"));
  if (s.alpha) line("alpha", fmt::format("{} (percentile, by a sweep)", *s.alpha));
  line("size of the weights",
       fmt::format("{} -> {} ({:.2f} times smaller)", FormatBytes(s.bytes_before),
                   FormatBytes(s.bytes_after),
                   static_cast<double>(s.bytes_before) / static_cast<double>(s.bytes_after)));
  line("mean KL from float", fmt::format("{} nats per token over {}", FormatDecimals(check.kl_mean),
                                         FormatNumber(check.tokens, "token")));
  line("same most likely token", FormatPercent(check.top1_agreement));
  line("simulated mismatches",
       fmt::format("{} in {} (integers against the simulation)", check.simulated_mismatches,
                   FormatNumber(check.simulated_tokens, "token")));
  const std::vector<std::string> saturated = check.SaturatedSites();
  line("saturated sites", saturated.empty() ? "none" : fmt::format("{}", saturated.size()));
  for (const AutoAttempt& a : s.attempts) {
    line(a.uniform ? "tried uniform widths" : "tried mixed widths",
         fmt::format("{}, KL {}", FormatBytes(a.bytes), FormatDecimals(a.kl)));
  }
  if (s.written) line("written to", s.command.output);
  return text;
}

Status Broken(const SelfCheckReport& check, const std::optional<WorkFolder>& work) {
  return {Code::kQualityGate,
          fmt::format("the quantized model is broken and was not written ({}): {}",
                      work ? fmt::format("the same command with --force writes it, from {}, "
                                         "which stays until then",
                                         work->path())
                           : "--force writes it",
                      fmt::join(check.Failures(), "; "))};
}

void PrintWarnings(const SelfCheckReport& check, const std::vector<std::string>& own) {
  for (const std::string& w : own) {
    PrintWarning(w);
  }
  if (const std::vector<std::string> sites = check.SaturatedSites(); !sites.empty()) {
    PrintWarning(fmt::format("more than 1 value in 1000 is beyond the scale at {}, first {}",
                             FormatNumber(std::ssize(sites), "site"), sites.front()));
  }
  for (const std::string& f : check.Failures()) {
    PrintWarning(f);
  }
}

// What was made of the model, and by which plan.
struct Quantized {
  CheckedModel checked;
  QuantPlan plan;
  std::vector<AutoAttempt> attempts;
  std::optional<WorkFolder> work = {};  // holds tensors of the model until that is written
};

// `error` stopped the run. When that was the system, which may be in a better state another time,
// finished blocks stay; anything else would happen again.
Status EndWork(const Status& error, WorkFolder* work) {
  if (error.code() != Code::kIo || work->finished() == 0) {
    (void)work->Remove();  // the first error is the one to tell
    return error;
  }
  return IoError(
      fmt::format("{}; the same command goes on from {}", error.message(), work->path()));
}

Result<Quantized> QuantizeAuto(const QuantizeCommand& c, Json given, const FloatCheckpoint& source,
                               const CalibrationText& text, const Progress& progress) {
  const Family family = FamilyOf(source.graph);
  OCTET_ASSIGN(const std::string name, TakeBase(&given, DefaultBaseRecipe(family)));
  OCTET_ASSIGN(const RecipeRun base, PlanRecipeNamed(name, given, family));
  if (fs::exists(WorkPath(c.output))) {
    PrintNote(fmt::format("{} is of a run with another recipe", WorkPath(c.output)));
  }
  AutoLimit limit;
  if (c.max_kl > 0) limit.max_kl = c.max_kl;
  if (c.budget_mb > 0) limit.budget_bytes = static_cast<int64_t>(c.budget_mb * 1e6);
  ThreadPool pool(c.threads);
  OCTET_ASSIGN(AutoResult found,
               FindAutoRecipe(base, limit, source.graph, source.weights,
                              {text.data, text.record, text.check}, &pool, progress));
  Quantized q{{std::move(found.model), {}}, std::move(found.run.plan), std::move(found.attempts)};
  OCTET_ASSIGN(q.checked.check, SelfCheck(source.graph, source.weights, q.checked.model, text.check,
                                          &pool, progress));
  if (found.winner.uniform) {
    PrintWarning("no mix of widths was better than the same width in all blocks, which was taken");
  }
  return q;
}

Result<Quantized> QuantizeByRecipe(const QuantizeCommand& c, const Json& given,
                                   const FloatCheckpoint& source, const CalibrationText& text,
                                   const Progress& progress) {
  OCTET_ASSIGN(const RecipeRun recipe, PlanRecipeNamed(c.recipe, given, FamilyOf(source.graph)));
  OCTET_ASSIGN(WorkFolder work,
               OpenWork(c.output, DescribeRun(recipe, c.model, text.record), source.graph.layers));
  Result<CheckedModel> checked = QuantizeAndCheck(recipe, source, text, c.threads, progress, &work);
  if (!checked.ok()) return EndWork(checked.status(), &work);
  return Quantized{*std::move(checked), recipe.plan, {}, std::move(work)};
}

// The percentile that was chosen for the model when the plan left it open.
std::optional<double> SweptAlpha(const Quantized& q) {
  QuantPlan decided;
  const bool known = ApplyJson(*q.checked.model.config.Find("plan"), &decided).ok();
  if (!known || !q.plan.sweep_alpha) return std::nullopt;
  for (const SiteRule& rule : decided.sites) {
    if (rule.observer == ObserverKind::kPercentile) return rule.alpha;
  }
  return std::nullopt;
}

// A sentence for each option that was given and changes nothing about the model, which became
// `graph`.
void AddIdleOptions(const QuantizeCommand& c, const Json& given, const Graph& graph,
                    std::vector<std::string>* sentences) {
  const Family family = FamilyOf(graph);
  const bool tied =
      graph.nodes[static_cast<size_t>(graph.logits)].weights[0] == graph.nodes[0].weights[0];
  if (tied && given.Find("head") != nullptr) {
    sentences->push_back("option head changes nothing about this model: its head is the embedding");
  }
  const Result<RecipeRun> run = PlanRecipeNamed(c.recipe, given, family);
  for (const auto& [key, value] : given.AsObject()) {
    Json others = given;
    others.Erase(key);
    const Result<RecipeRun> without = PlanRecipeNamed(c.recipe, others, family);
    if (!run.ok() || !without.ok() || run->plan != without->plan) continue;
    if (*run->options.Find(key) == *without->options.Find(key)) continue;  // given as it is
    sentences->push_back(
        fmt::format("option {}={} changes nothing about this model", key, value.AsString()));
  }
}

// Whether the recipe looks at calibration text; also its errors.
Result<bool> NeedsText(const QuantizeCommand& c, const Json& options, const Graph& graph) {
  if (c.recipe == kAuto) return true;
  OCTET_ASSIGN(const RecipeRun recipe, PlanRecipeNamed(c.recipe, options, FamilyOf(graph)));
  return NeedsCalibration(recipe.plan);
}

}  // namespace

Status Run(const QuantizeCommand& c) {
  OCTET_ASSIGN(const Json given, ParseOptions(c.options));
  OCTET_TRY(CheckAuto(c));
  const bool is_auto = c.recipe == kAuto;
  Json options = given;
  OCTET_ASSIGN(const std::string named,
               is_auto ? TakeBase(&options, "") : Result<std::string>(c.recipe));
  if (!named.empty()) OCTET_TRY(CheckRecipe(named, options));
  OCTET_TRY(ProbeOutputs(c));
  OCTET_ASSIGN(const FloatCheckpoint source, LoadFloatCheckpoint(c.model));
  OCTET_ASSIGN(const auto model, LoadModel(c.model, source));
  ProgressBar bar;
  OCTET_ASSIGN(const bool calibrates, NeedsText(c, given, source.graph));
  OCTET_ASSIGN(const CalibrationText text,
               LoadCalibration({c.calibration, c.samples, c.length, c.seed, calibrates}, model,
                               c.threads, bar.Callback()));
  OCTET_ASSIGN(Quantized quantized, is_auto
                                        ? QuantizeAuto(c, given, source, text, bar.Callback())
                                        : QuantizeByRecipe(c, given, source, text, bar.Callback()));
  CheckedModel& checked = quantized.checked;
  const std::vector<std::string> failures = checked.check.Failures();
  const bool written = failures.empty() || c.force;
  if (written) {
    if (!failures.empty()) checked.model.config.Set("failures", Strings(failures));
    const Status saved = WriteModelFolder(checked.model, source, c.model, c.output);
    if (!saved.ok()) return quantized.work ? EndWork(saved, &*quantized.work) : saved;
    const Status removed = quantized.work ? quantized.work->Remove() : Status();
    if (!removed.ok()) PrintWarning(removed.message());
  }
  if (!c.save_recipe.empty()) {
    OCTET_TRY(WriteTextFile(c.save_recipe, ToJson(quantized.plan).Dump(2) + "\n"));
  }
  Summary summary{c,
                  checked,
                  quantized.attempts,
                  SweptAlpha(quantized),
                  source.warnings,
                  StoredBytes(source.graph, source.weights),
                  StoredBytes(checked.model.graph, checked.model.weights),
                  written};
  std::vector<std::string> own = TextWarnings(text);
  if (!is_auto) AddIdleOptions(c, given, checked.model.graph, &own);
  if (summary.bytes_after > summary.bytes_before) {
    own.emplace_back("the quantized model is larger than the float one");
  }
  summary.warnings.insert(summary.warnings.end(), own.begin(), own.end());
  if (c.json) {
    PrintJson("quantize", ToJson(summary));
  } else {
    Print(ToText(summary));
  }
  OCTET_TRY(Flush());
  if (!written) return Broken(checked.check, quantized.work);
  PrintWarnings(checked.check, own);
  return {};
}

}  // namespace octet::cli
