#include <algorithm>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "apps/cli/chart_svg.h"
#include "apps/cli/commands.h"
#include "apps/cli/report_page.h"
#include "apps/cli/shared.h"
#include "eval/item_lines.h"
#include "eval/report_data.h"
#include "kernels/isa.h"

namespace octet::cli {
namespace {

using Models = std::vector<std::shared_ptr<const Model>>;

bool Skips(const ReportCommand& c, const char* part) {
  return std::ranges::count(c.skip, part) > 0;
}

// The models and their items, the reference first.
struct Subjects {
  std::vector<std::string> folders, items;
};

// kInvalidArgument for a folder that is named twice, and for too few or many.
Result<Subjects> ChosenSubjects(const ReportCommand& c) {
  Subjects subjects{c.models, c.items};
  std::vector<std::string>& folders = subjects.folders;
  if (const auto found = std::ranges::find(folders, c.reference); found != folders.end()) {
    const auto to_front = [at = found - folders.begin()](std::vector<std::string>* v) {
      if (at < std::ssize(*v)) std::rotate(v->begin(), v->begin() + at, v->begin() + at + 1);
    };
    to_front(&subjects.items);
    to_front(&folders);
  } else if (!c.reference.empty()) {
    folders.insert(folders.begin(), c.reference);
  }
  std::set<std::filesystem::path> seen;
  for (const std::string& folder : folders) {
    std::error_code error;
    if (!seen.insert(std::filesystem::weakly_canonical(folder + "/", error)).second) {
      return InvalidArgument(folder + ": is named twice");
    }
  }
  if (folders.size() < 2) {
    return InvalidArgument("a report compares a float model with others; only one is named");
  }
  if (folders.size() > kMaxSeries) {
    return InvalidArgument(
        fmt::format("a report compares at most {} models, not {}", kMaxSeries, folders.size()));
  }
  return subjects;
}

// Before minutes of work.
Status CheckOutputs(const ReportCommand& c, const std::vector<std::string>& folders) {
  std::vector<std::string> paths = {c.output};
  if (c.json != "-") paths.push_back(c.json);
  std::vector<std::string> inputs = c.items;
  for (const std::string& text : {c.text.path, c.calibration}) {
    if (text != "self") inputs.push_back(text);
  }
  OCTET_TRY(CheckNotRead(paths, inputs));
  for (const std::string& folder : folders) {
    OCTET_TRY(ProbeReports(folder, paths));
  }
  return {};
}

Result<Models> LoadModels(const std::vector<std::string>& folders, const FloatCheckpoint& source) {
  Models models;
  OCTET_ASSIGN(models.emplace_back(), LoadModel(folders.front(), source));
  for (size_t i = 1; i < folders.size(); ++i) {
    OCTET_ASSIGN(models.emplace_back(), LoadModel(folders[i], 0));
    const int64_t a = models.front()->vocab_rows(), b = models.back()->vocab_rows();
    if (a != b) {
      return InvalidArgument(
          fmt::format("{} and {} have vocabularies of {} and {} rows; they cannot be compared",
                      folders.front(), folders[i], a, b));
    }
  }
  return models;
}

// Of the files of --items, which must hold the same tasks, one for each model, in their order.
Result<std::vector<ReportAccuracy>> ReadAccuracy(const std::vector<std::string>& paths,
                                                 size_t models) {
  std::vector<ReportAccuracy> all;
  if (paths.empty()) return all;
  if (paths.size() != models) {
    return InvalidArgument(fmt::format("--items names {} for {}; each needs one, in their order",
                                       FormatNumber(std::ssize(paths), "file"),
                                       FormatNumber(static_cast<int64_t>(models), "model")));
  }
  std::vector<ItemResult> reference;
  for (const std::string& path : paths) {
    OCTET_ASSIGN(std::vector<ItemResult> items, ReadItemLines(path));
    ReportAccuracy& a = all.emplace_back();
    a.tasks = SummarizeTasks(items);
    if (all.size() == 1) {
      reference = std::move(items);
      continue;
    }
    Result<PairedReport> paired = ComparePaired(reference, items);
    if (!paired.ok()) return paired.status().Annotate(path);
    if (items.size() != reference.size()) {
      return InvalidArgument(fmt::format("{}: has {} where {} has {}", path,
                                         FormatNumber(std::ssize(items), "item"), paths.front(),
                                         FormatNumber(std::ssize(reference), "item")));
    }
    a.paired = *std::move(paired);
  }
  return all;
}

// What quality is measured on.
Result<std::vector<TokenId>> EvaluationTokens(const ReportCommand& c, const Models& models,
                                              const Progress& progress) {
  const auto& reference = models.front();
  if (c.text.path != "self") {
    OCTET_ASSIGN(std::vector<TokenId> tokens, LoadTokens(c.text, *reference));
    for (size_t i = 1; i < models.size(); ++i) {
      OCTET_TRY(CheckSameTokens(tokens, c.text, *reference, *models[i]));
    }
    OCTET_TRY(CheckWindow(c.text, std::ssize(tokens)));
    return tokens;
  }
  constexpr int64_t kOwnTokens = 8192;
  const int64_t wanted =
      c.text.max_tokens == 0 ? kOwnTokens : std::min(c.text.max_tokens, kOwnTokens);
  const int64_t windows = std::max<int64_t>(1, wanted / c.text.window);
  OCTET_ASSIGN(const std::vector<TokenDocument> documents,
               GenerateText(reference, {windows, c.text.window, c.seed + 1, c.threads}, progress));
  std::vector<TokenId> tokens;
  for (const TokenDocument& d : documents) {
    tokens.insert(tokens.end(), d.begin(), d.end());
  }
  return tokens;
}

std::string TextName(const std::string& path) {
  return path == "self" ? "text that the reference wrote"
                        : std::filesystem::path(path).filename().string();
}

std::string RecipeOf(const Model& model) {
  const Json* q = model.quantization();
  const Json* recipe = q == nullptr ? nullptr : q->Find("recipe");
  if (q == nullptr) return "";
  return recipe != nullptr && recipe->is_string() ? recipe->AsString() : "quantized";
}

// Greedy, so that what differs is the model.
Status AddSamples(const ReportCommand& c, const Models& models, ReportPage* page) {
  const Result<Tokenizer> tokenizer = models.front()->tokenizer();
  if (!tokenizer.ok()) {
    page->left_out.push_back("There is no text of the models: the reference has no tokenizer.");
    return {};
  }
  const std::vector<TokenId> prompt = tokenizer->Encode(c.prompt);
  if (prompt.empty()) return InvalidArgument("--prompt is empty");
  OCTET_ASSIGN(Sampler sampler, Sampler::Create({.temperature = 0}));
  for (const auto& model : models) {
    if (!model->tokenizer().ok()) {
      page->left_out.push_back(model->folder() + " has no tokenizer; there is no text.");
      page->samples.clear();
      return {};
    }
    OCTET_ASSIGN(page->samples.emplace_back(),
                 Continue(model, prompt, c.count, &sampler, c.threads, {}));
  }
  return {};
}

// Activations and sensitivity: what calibration text is for.
struct Observed {
  std::vector<TokenDocument> documents;
  std::optional<Sensitivity> sensitivity;
  std::string recipe;
};
Result<Observed> Observe(const ReportCommand& c, const FloatCheckpoint& source,
                         const std::shared_ptr<const Model>& reference, ProgressBar* bar) {
  Observed o;
  if (Skips(c, "sensitivity") && Skips(c, "activations")) return o;
  const Family family = FamilyOf(source.graph);
  o.recipe = c.recipe.empty() ? DefaultBaseRecipe(family) : c.recipe;
  OCTET_ASSIGN(const RecipeRun base, PlanRecipeNamed(o.recipe, Json(), family));
  OCTET_ASSIGN(
      CalibrationText text,
      LoadCalibration({c.calibration, c.samples * (kCalibrationPieces + 1), c.length, c.seed},
                      reference, c.threads, bar->Callback()));
  TokenDataset sample = TakeSample(c.samples, &text.data);
  if (sample.documents.size() < 2 || text.data.documents.empty()) {
    return InvalidArgument(
        fmt::format("{}: too short to calibrate on some pieces of {} tokens and measure on two "
                    "others; --length makes them shorter",
                    c.calibration, c.length));
  }
  if (!Skips(c, "sensitivity")) {
    ThreadPool pool(c.threads);
    OCTET_ASSIGN(o.sensitivity, MeasureSensitivity(base.plan, source.graph, source.weights,
                                                   text.data, sample, {}, &pool, bar->Callback()));
  }
  o.documents = std::move(sample.documents);
  return o;
}

ReportOptions OptionsOf(const ReportCommand& c) {
  ReportOptions options;
  options.windows = MakeWindowOptions(c.text, c.threads);
  options.bench.repeats = static_cast<int>(c.repeats);
  options.bench.threads = {c.threads};
  options.bench.seed = c.seed;
  options.speed = !Skips(c, "speed");
  options.sites = !Skips(c, "activations");
  options.layers = c.layers;
  return options;
}

Status CheckLayers(const ReportCommand& c, const Graph& graph) {
  for (const int layer : c.layers) {
    if (layer < graph.layers) continue;
    return InvalidArgument(
        fmt::format("--blocks: there is no block {}; the model has {}", layer, graph.layers));
  }
  return {};
}

}  // namespace

Status Run(const ReportCommand& c) {
  OCTET_ASSIGN(const Subjects subjects, ChosenSubjects(c));
  const std::vector<std::string>& folders = subjects.folders;
  OCTET_TRY(CheckOutputs(c, folders));
  ReportPage page;
  OCTET_ASSIGN(page.accuracy, ReadAccuracy(subjects.items, folders.size()));
  OCTET_ASSIGN(const FloatCheckpoint source, LoadFloatCheckpoint(folders.front()));
  OCTET_ASSIGN(const Models models, LoadModels(folders, source));
  OCTET_TRY(CheckLayers(c, source.graph));
  ProgressBar bar;
  OCTET_ASSIGN(const std::vector<TokenId> tokens, EvaluationTokens(c, models, bar.Callback()));
  OCTET_ASSIGN(Observed observed, Observe(c, source, models.front(), &bar));
  const ReportOptions options = OptionsOf(c);
  OCTET_ASSIGN(page.data, MeasureReport(models, tokens, TextName(c.text.path), observed.documents,
                                        options, bar.Callback()));
  page.names = DistinctNames(folders);
  page.folders = folders;
  for (const auto& model : models) {
    page.recipes.push_back(RecipeOf(*model));
  }
  page.text = TextName(c.text.path);
  page.calibration = TextName(c.calibration);
  page.windows = options.windows;
  page.dropped = DroppedTokens(std::ssize(tokens), options.windows);
  page.isa = CurrentIsa();
  page.threads = c.threads;
  page.repeats = options.bench.repeats;
  page.prompt = c.prompt;
  page.sensitivity = std::move(observed.sensitivity);
  page.sensitivity_recipe = observed.recipe;
  for (const std::string& part : c.skip) {
    page.left_out.push_back("Left out: " + part + ".");
  }
  if (!Skips(c, "samples")) OCTET_TRY(AddSamples(c, models, &page));
  OCTET_TRY(WriteTextFile(c.output, ReportHtml(page)));
  const std::string json = WithSchema("report", ReportJson(page)).Dump(2) + "\n";
  if (c.json == "-") {
    Print(json);
    return {};
  }
  if (!c.json.empty()) OCTET_TRY(WriteTextFile(c.json, json));
  for (const Verdict& v : Verdicts(page)) {
    Print(Wrap(v.before + v.model + v.after, 80) + "\n");
  }
  Print("written to " + c.output + "\n");
  return {};
}

}  // namespace octet::cli
