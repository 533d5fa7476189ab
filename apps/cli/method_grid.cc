#include "apps/cli/method_grid.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "exec/interpreter.h"
#include "kernels/isa.h"
#include "quant/outliers.h"
#include "quant/plan_parts.h"

namespace octet::cli {
namespace {

constexpr Part kParts[] = {Part::kAll, Part::kSsm, Part::kLinears};
constexpr int64_t kSaturationTokens = 512;

// Options beside the defaults that say something about the method.
struct Variant {
  const char* recipe;
  const char* options;  // "key=value key=value"
};
constexpr Variant kVariants[] = {
    {"had-s8", "ssd=float"},
    {"had-s8", "weights=w4"},
    {"quamba", "generation=q1"},
    {"quamba", "state=f32"},
    {"quamba-se", "codec=se9"},
    {"quamba-se", "codec=seg8"},
    {"quamba-se", "codec=uint8"},
    {"quamba-se", "codec=int8"},
    {"quamba-se", "codec=int16"},
    {"quamba-se", "codec=float"},
    {"quamba2-w8a8", "state=f32"},
    {"quamba2-w4a8", "weight_method=rtn"},
    {"ssdi8-w8a8", "mean_correction=none"},
    {"ssdi8-w8a8", "x_scaled_codec=se8s"},
    {"ssdi8-w4a8", "weight_method=rtn"},
    {"ssdi8-plus-w8a8", "inner_scales=static"},
    {"ssdi8-plus-w8a8", "mean_correction=none"},
    {"ssdi8-plus-w8a8", "x_scaled_codec=se8s"},
    {"ssdi8-plus-w8a8", "state=f16"},
    {"ssdi8-plus-w8a8", "state=i8"},
    {"w4a16", "weight_method=rtn"},
};

constexpr Order kOrders[] = {
    {"SSDi8 over Quamba2, W8A8", "ssdi8-w8a8", "quamba2-w8a8", Family::kMamba2},
    {"Quamba2 over HAD with an int8 SSD, W8A8", "quamba2-w8a8", "had-s8", Family::kMamba2},
    {"SSDi8 over HAD with an int8 SSD, W8A8", "ssdi8-w8a8", "had-s8", Family::kMamba2},
    {"SSDi8 over Quamba2, W4A8", "ssdi8-w4a8", "quamba2-w4a8", Family::kMamba2},
    {"Quamba2 over HAD, W4A8", "quamba2-w4a8", "had-s8 weights=w4", Family::kMamba2},
    {"Quamba over absmax", "quamba", "absmax", Family::kMamba},
    {"Quamba as in the paper over absmax", "quamba generation=q1", "absmax", Family::kMamba},
    {"Quamba-SE (8-bit codes) over Quamba", "quamba-se", "quamba generation=q1", Family::kMamba},
    {"Quamba-SE (9-bit codes) over Quamba", "quamba-se codec=se9", "quamba generation=q1",
     Family::kMamba},
};

Json ParseVariant(std::string_view text) {
  Json options = Json::MakeObject();
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(' '));
    const size_t equals = one.find('=');
    options.Set(std::string(one.substr(0, equals)), std::string(one.substr(equals + 1)));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
  }
  return options;
}

// What all rows of a model share.
struct Subject {
  std::string name;
  bool copy;  // of another with outliers
  const FloatCheckpoint& source;
  const CalibrationText& calibration;
  std::shared_ptr<const Model> reference;
  std::vector<std::vector<TokenId>> tokens;  // by text
};

// How often values leave the range of their scale on the first tokens of the first text.
Result<std::map<std::string, Saturation>> MeasureSaturation(const QuantizedModel& model,
                                                            std::span<const TokenId> tokens) {
  const Interpreter interpreter(model.graph, model.weights, AllowedIsas());
  SimulationTap tap(model.graph);
  State state(model.graph);
  std::vector<float> logits;
  const size_t count = std::min<size_t>(tokens.size(), kSaturationTokens);
  OCTET_TRY(interpreter.Run(tokens.first(count), &state, &tap, &logits));
  return std::map<std::string, Saturation>(tap.saturation().begin(), tap.saturation().end());
}

// The plan and, where they are wanted and differ from it, its parts.
std::vector<std::pair<Part, RecipeRun>> PlansOf(const RecipeRun& run, bool with_parts) {
  std::vector<std::pair<Part, RecipeRun>> plans;
  for (const Part part : kParts) {
    RecipeRun r = run;
    if (part == Part::kSsm) r.plan = OnlySsm(run.plan);
    if (part == Part::kLinears) r.plan = OnlyLinears(run.plan);
    const bool same = part != Part::kAll && r.plan == run.plan;
    if (!same && QuantizesSomething(r.plan)) plans.emplace_back(part, std::move(r));
    if (!with_parts) break;
  }
  return plans;
}

Status MeasureMethod(const Method& method, const RecipeRun& run, const Subject& subject,
                     std::span<const EvaluationText> texts, const GridOptions& o,
                     std::vector<MethodRow>* rows) {
  const size_t first = rows->size();
  ThreadPool pool(o.threads);
  std::vector<std::shared_ptr<const Model>> models;
  for (const auto& [part, plan] : PlansOf(run, method.has_parts && !subject.copy)) {
    OCTET_ASSIGN(QuantizedModel q,
                 Quantize(plan, subject.source.graph, subject.source.weights,
                          subject.calibration.data, subject.calibration.record, &pool, {}));
    MethodRow& row = rows->emplace_back();
    row.method = method.name;
    row.part = part;
    row.bytes = StoredBytes(q.graph, q.weights);
    OCTET_ASSIGN(row.saturation, MeasureSaturation(q, subject.tokens.front()));
    OCTET_ASSIGN(models.emplace_back(), Model::Create(std::move(q.graph), std::move(q.weights),
                                                      subject.source.config, std::nullopt, {}));
  }
  for (size_t t = 0; t < texts.size(); ++t) {
    OCTET_ASSIGN(std::vector<CompareReport> reports,
                 CompareAll(subject.reference, models, subject.tokens[t], texts[t].name,
                            {o.window, o.window, 0, o.threads}, {}));
    for (size_t i = 0; i < reports.size(); ++i) {
      (*rows)[first + i].quality.push_back(std::move(reports[i]));
    }
  }
  return {};
}

// On the copies, which say how methods stand outliers, variants are left out unless an order names
// them.
bool Wanted(const Method& method, const Subject& subject) {
  return !subject.copy || method.has_parts || std::ranges::any_of(kOrders, [&](const Order& o) {
    return method.name == o.better || method.name == o.worse;
  });
}

// The wanted methods that the model's family has, without variants whose option changes nothing.
Result<std::vector<std::pair<const Method*, RecipeRun>>> RunsOf(std::span<const Method> methods,
                                                                const Subject& subject) {
  std::vector<std::pair<const Method*, RecipeRun>> runs;
  for (const Method& method : methods) {
    if (!Wanted(method, subject)) continue;
    Result<RecipeRun> run =
        PlanRecipeNamed(method.recipe, method.options, FamilyOf(subject.source.graph));
    if (run.status().code() == Code::kUnsupported) continue;
    if (!run.ok()) return run.status();
    const auto same = [&](const auto& seen) { return seen.second.plan == run->plan; };
    if (method.has_parts || std::ranges::none_of(runs, same))
      runs.emplace_back(&method, *std::move(run));
  }
  return runs;
}

Result<ModelResults> MeasureModel(const Subject& subject, std::span<const EvaluationText> texts,
                                  const GridOptions& o, ProgressBar* bar) {
  ModelResults results;
  results.name = subject.name;
  results.family = FamilyOf(subject.source.graph);
  results.bytes = StoredBytes(subject.source.graph, subject.source.weights);
  OCTET_ASSIGN(const auto runs, RunsOf(o.methods, subject));
  if (runs.empty()) {
    return InvalidArgument(fmt::format("{}: no method is for models of this kind", subject.name));
  }
  int64_t done = 0;
  for (const auto& [method, run] : runs) {
    bar->Update("measuring " + subject.name, done++, std::ssize(runs));
    const Status s = MeasureMethod(*method, run, subject, texts, o, &results.rows);
    if (!s.ok()) return s.Annotate(subject.name + ": " + method->name);
  }
  return results;
}

Status MeasureFolder(const std::string& folder, std::span<const EvaluationText> texts,
                     const GridOptions& o, ProgressBar* bar, std::vector<ModelResults>* all) {
  OCTET_ASSIGN(const FloatCheckpoint source, LoadFloatCheckpoint(folder));
  OCTET_ASSIGN(const auto model, LoadModel(folder, source));
  OCTET_ASSIGN(const Tokenizer tokenizer, model->tokenizer());
  OCTET_ASSIGN(const CalibrationText calibration,
               LoadCalibration({o.calibration, o.samples, o.length}, model, o.threads, {}));
  const std::string name = std::filesystem::path(folder + "/").parent_path().filename().string();
  Subject subject{name, false, source, calibration, model, {}};
  for (const EvaluationText& t : texts) {
    subject.tokens.push_back(tokenizer.Encode(t.text));
  }
  OCTET_ASSIGN(all->emplace_back(), MeasureModel(subject, texts, o, bar));
  FloatCheckpoint copy = source;
  OCTET_TRY(AddOutliers({}, copy.graph, &copy.weights));
  const Subject spiked{name + ", outliers", true, copy, calibration, model, subject.tokens};
  OCTET_ASSIGN(all->emplace_back(), MeasureModel(spiked, texts, o, bar));
  return {};
}

}  // namespace

const char* PartName(Part part) {
  constexpr const char* kNames[] = {"all", "ssm", "linears"};
  return kNames[static_cast<size_t>(part)];
}

Result<std::vector<Method>> MethodsOf(std::span<const std::string> recipes) {
  for (const std::string& name : recipes) {
    OCTET_TRY(FindRecipe(name).status());
  }
  std::vector<Method> methods;
  for (const Recipe& recipe : Recipes()) {
    const std::string name = recipe.name;
    if (!recipes.empty() && std::ranges::count(recipes, name) == 0) continue;
    methods.push_back({name, name, Json::MakeObject(), true});
    for (const Variant& v : kVariants) {
      if (name != v.recipe) continue;
      methods.push_back({name + " " + v.options, name, ParseVariant(v.options), false});
    }
  }
  return methods;
}

const MethodRow* ModelResults::Find(std::string_view method, Part part) const {
  const auto found = std::ranges::find_if(
      rows, [&](const MethodRow& r) { return r.method == method && r.part == part; });
  return found == rows.end() ? nullptr : &*found;
}

Result<std::vector<ModelResults>> MeasureGrid(const GridOptions& options,
                                              std::span<const EvaluationText> texts,
                                              ProgressBar* bar) {
  std::vector<ModelResults> all;
  for (const std::string& folder : options.models) {
    OCTET_TRY(MeasureFolder(folder, texts, options, bar, &all));
  }
  return all;
}

std::span<const Order> PublishedOrders() {
  return kOrders;
}

std::vector<OrderResult> CheckOrders(std::span<const ModelResults> models, size_t texts) {
  std::vector<OrderResult> results;
  for (const Order& order : kOrders) {
    for (const ModelResults& model : models) {
      for (const Part part : kParts) {
        const MethodRow* better = model.Find(order.better, part);
        const MethodRow* worse = model.Find(order.worse, part);
        if (model.family != order.family || better == nullptr || worse == nullptr) continue;
        for (size_t t = 0; t < texts; ++t) {
          const CompareReport& a = better->quality[t];
          const CompareReport& b = worse->quality[t];
          results.push_back({&order, model.name, part, t, a.kl_mean.value, b.kl_mean.value,
                             PairedDifference(a.window_kl, b.window_kl), a.windows});
        }
      }
    }
  }
  return results;
}

}  // namespace octet::cli
