#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/shared.h"
#include "io/output_folder.h"

namespace octet::cli {
namespace {

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

// Fails now, rather than after minutes of work, when the folder could not be written.
Status ProbeOutput(const std::string& output) {
  return OutputFolder::Create(output).status();
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
  const Json& calibration = *s.checked.model.config.Find("calibration");
  line("calibrated on", calibration.is_null()
                            ? "nothing: the recipe needs no text"
                            : FormatNumber(calibration.Find("tokens")->AsInt(), "token"));
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
  if (s.written) line("written to", s.command.output);
  return text;
}

Status Broken(const SelfCheckReport& check) {
  return {Code::kQualityGate,
          fmt::format("the quantized model is broken and was not written (--force writes it): {}",
                      fmt::join(check.Failures(), "; "))};
}

void PrintWarnings(const SelfCheckReport& check, const std::vector<std::string>& of_text) {
  for (const std::string& w : of_text) {
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

}  // namespace

Status Run(const QuantizeCommand& c) {
  OCTET_ASSIGN(const Json given, ParseOptions(c.options));
  OCTET_TRY(CheckRecipe(c.recipe, given));
  OCTET_TRY(ProbeOutput(c.output));
  OCTET_ASSIGN(const FloatCheckpoint source, LoadFloatCheckpoint(c.model));
  OCTET_ASSIGN(const RecipeRun recipe, PlanRecipeNamed(c.recipe, given, FamilyOf(source.graph)));
  OCTET_ASSIGN(const auto model, LoadModel(c.model, 0));
  ProgressBar bar;
  OCTET_ASSIGN(const CalibrationText text, LoadCalibration({c.calibration, c.samples, c.length,
                                                            c.seed, NeedsCalibration(recipe.plan)},
                                                           model, c.threads, bar.Callback()));
  OCTET_ASSIGN(const CheckedModel checked,
               QuantizeAndCheck(recipe, source, text, c.threads, bar.Callback()));
  const bool written = checked.check.Failures().empty() || c.force;
  if (written) OCTET_TRY(WriteModelFolder(checked.model, source, c.model, c.output));
  std::vector<std::string> warnings = source.warnings;  // printed on loading
  const std::vector<std::string> of_text = TextWarnings(text);
  warnings.insert(warnings.end(), of_text.begin(), of_text.end());
  const Summary summary{c,
                        checked,
                        warnings,
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
  PrintWarnings(checked.check, of_text);
  return {};
}

}  // namespace octet::cli
