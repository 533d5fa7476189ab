#include <algorithm>
#include <filesystem>
#include <limits>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/shared.h"
#include "apps/cli/suggest.h"
#include "eval/item_lines.h"
#include "eval/paired.h"

namespace octet::cli {
namespace {

constexpr double kPercent = 100;

using Items = std::vector<ItemResult>;

// In the order of AllTasks.
Result<std::vector<const TaskSpec*>> ChosenTasks(const std::vector<std::string>& names) {
  std::vector<const TaskSpec*> chosen;
  std::vector<std::string> known;
  for (const TaskSpec& task : AllTasks()) {
    known.emplace_back(task.name);
    if (names.empty() || std::ranges::count(names, task.name) > 0) chosen.push_back(&task);
  }
  for (const std::string& name : names) {
    if (FindTask(name) != nullptr) continue;
    const std::string closest = Closest(name, known);
    return InvalidArgument(
        closest.empty()
            ? fmt::format("unknown task {}; the tasks are {}", name, fmt::join(known, ", "))
            : fmt::format("unknown task {}; did you mean {}?", name, closest));
  }
  return chosen;
}

bool IsItemsFile(const std::string& path) {
  std::error_code error;
  return path.ends_with(".jsonl") && !std::filesystem::is_directory(path, error);
}

// A file of items under another name would be taken for a model.
Status CheckModelOrItems(const std::string& path) {
  std::error_code error;
  if (IsItemsFile(path) || !std::filesystem::is_regular_file(path, error)) return {};
  return InvalidArgument(path +
                         ": is a file whose name does not end in .jsonl; a model is a folder, "
                         "and --items writes .jsonl");
}

// The items that a model was asked about in an earlier run, as far as this one asks for them.
Result<Items> ReadItems(const TasksCommand& c, const std::string& path,
                        std::span<const TaskSpec* const> tasks) {
  OCTET_ASSIGN(const Items all, ReadItemLines(path));
  Items items;
  for (const TaskSpec* task : tasks) {
    std::ranges::copy_if(all, std::back_inserter(items), [&](const ItemResult& item) {
      return item.task == task->name && (c.limit == 0 || item.doc < c.limit);
    });
  }
  if (items.empty()) return InvalidArgument(path + ": has no item of the tasks");
  return items;
}

// Which items of a task are among `items`.
std::set<int64_t> DocsOf(const Items& items, const TaskSpec& task) {
  std::set<int64_t> docs;
  for (const ItemResult& item : items) {
    if (item.task == task.name) docs.insert(item.doc);
  }
  return docs;
}

// Runs a model on the tasks, or reads what it made of them; `only` these items unless null.
Result<Items> ItemsOf(const TasksCommand& c, const std::string& model_or_items,
                      std::span<const TaskSpec* const> tasks, const Items* only) {
  if (IsItemsFile(model_or_items)) return ReadItems(c, model_or_items, tasks);
  if (c.data.empty()) {
    return InvalidArgument(
        "--data is required: the folder with the files of the tasks; see "
        "octet evaluate tasks --help");
  }
  std::vector<std::vector<TaskItem>> inputs;  // all, so that a missing file shows at once
  for (const TaskSpec* task : tasks) {
    std::set<int64_t> docs;
    if (only != nullptr) docs = DocsOf(*only, *task);
    if (only != nullptr && docs.empty()) {
      inputs.emplace_back();
      continue;
    }
    OCTET_ASSIGN(inputs.emplace_back(), ReadTask(*task, c.data, c.limit));
    if (only == nullptr) continue;
    std::erase_if(inputs.back(), [&](const TaskItem& item) { return !docs.contains(item.doc); });
  }
  OCTET_ASSIGN(const auto model, LoadModel(model_or_items, 0));
  Items items;
  for (size_t i = 0; i < tasks.size(); ++i) {
    if (inputs[i].empty()) continue;
    ProgressBar bar;
    Result<Items> results = RunTask(model, *tasks[i], inputs[i], c.threads, bar.Callback());
    if (!results.ok()) return results.status().Annotate(model_or_items);
    std::ranges::move(*results, std::back_inserter(items));
  }
  return items;
}

const char* HeadlineName(const TaskSpec& task) {
  return task.papers_take_norm ? "acc_norm" : "acc";
}

// One item has no standard error.
void SetMean(Json* j, const std::string& name, const MeanAndError& m, int64_t items) {
  j->Set(name, m.value);
  if (items > 1) j->Set(name + "_stderr", m.error);
}

// Of TaskReports or PairedTasks.
int64_t FewestItems(const auto& tasks) {
  int64_t fewest = std::numeric_limits<int64_t>::max();
  for (const auto& t : tasks) {
    fewest = std::min(fewest, t.items);
  }
  return fewest;
}

Json ToJson(const TasksCommand& c, std::span<const TaskReport> reports) {
  Json tasks = Json::MakeArray();
  for (const TaskReport& r : reports) {
    Json j = Json::MakeObject();
    j.Set("task", r.task->name);
    j.Set("items", r.items);
    j.Set("metric", HeadlineName(*r.task));
    SetMean(&j, "acc", r.acc, r.items);
    if (r.acc_norm) SetMean(&j, "acc_norm", *r.acc_norm, r.items);
    if (r.perplexity) SetMean(&j, "perplexity", *r.perplexity, r.items);
    tasks.Append(std::move(j));
  }
  Json j = Json::MakeObject();
  j.Set("model", c.model);
  if (!c.baseline.empty()) j.Set("baseline", c.baseline);
  if (!c.data.empty()) j.Set("data", c.data);
  j.Set("protocol", "lm-evaluation-harness 0.4.13");
  if (c.limit > 0) j.Set("limit", c.limit);
  j.Set("tasks", std::move(tasks));
  SetMean(&j, "average", Average(reports), FewestItems(reports));
  return j;
}

void SetEstimate(Json* j, const std::string& name, const Estimate& e, int64_t items) {
  j->Set(name, e.value);
  if (items > 1) j->Set(name + "_ci95", Json::Array{e.low, e.high});
}

Json ToJson(const PairedReport& report) {
  Json tasks = Json::MakeArray();
  for (const PairedTask& t : report.tasks) {
    Json j = Json::MakeObject();
    j.Set("task", t.task->name);
    j.Set("items", t.items);
    j.Set("metric", HeadlineName(*t.task));
    j.Set("baseline", t.baseline);
    j.Set("model", t.candidate);
    SetEstimate(&j, "difference", t.difference, t.items);
    j.Set("lost", t.lost);
    j.Set("won", t.won);
    j.Set("changed_predictions", t.changed);
    j.Set("mcnemar_p", t.p);
    SetEstimate(&j, "loglikelihood_difference", t.log_likelihood, t.items);
    tasks.Append(std::move(j));
  }
  Json j = Json::MakeObject();
  j.Set("tasks", std::move(tasks));
  SetEstimate(&j, "average_difference", report.average, FewestItems(report.tasks));
  return j;
}

std::string MeanText(const MeanAndError& m, int64_t items) {
  if (items == 1) return fmt::format("{:.2f}", kPercent * m.value);
  return fmt::format("{:.2f} +- {:.2f}", kPercent * m.value, kPercent * m.error);
}

std::string PerplexityText(const MeanAndError& m, int64_t items) {
  if (items == 1) return fmt::format("{:.4g}", m.value);
  return fmt::format("{:.4g} +- {:.2g}", m.value, m.error);
}

std::string ToText(std::span<const TaskReport> reports) {
  const bool perplexity =
      std::ranges::any_of(reports, [](const TaskReport& r) { return r.perplexity.has_value(); });
  std::vector<std::string> header = {"task", "items", "acc %", "acc_norm %"};
  if (perplexity) header.emplace_back("perplexity");
  Table table(header);
  for (const TaskReport& r : reports) {
    std::vector<std::string> row = {r.task->name, FormatCount(r.items), MeanText(r.acc, r.items),
                                    r.acc_norm ? MeanText(*r.acc_norm, r.items) : ""};
    if (perplexity) row.push_back(r.perplexity ? PerplexityText(*r.perplexity, r.items) : "");
    table.Add(std::move(row));
  }
  std::string text = table.Text();
  if (reports.size() > 1) {
    text += fmt::format("average of {} tasks: {} (acc_norm of hellaswag and arc_challenge)\n",
                        reports.size(), MeanText(Average(reports), FewestItems(reports)));
  }
  return text;
}

std::string DifferenceText(const Estimate& e, int64_t items) {
  if (items == 1) return fmt::format("{:+.2f}", kPercent * e.value);
  return fmt::format("{:+.2f} [{:+.2f}, {:+.2f}]", kPercent * e.value, kPercent * e.low,
                     kPercent * e.high);
}

std::string ToText(const PairedReport& report) {
  Table table({"task", "base %", "model %", "difference, 95 %", "lost", "won", "p", "nats"});
  std::vector<const char*> by_norm;
  for (const PairedTask& t : report.tasks) {
    table.Add({t.task->name, fmt::format("{:.2f}", kPercent * t.baseline),
               fmt::format("{:.2f}", kPercent * t.candidate), DifferenceText(t.difference, t.items),
               FormatCount(t.lost), FormatCount(t.won), fmt::format("{:.2g}", t.p),
               fmt::format("{:+.3f}", t.log_likelihood.value)});
    if (t.task->papers_take_norm) by_norm.push_back(t.task->name);
  }
  std::string text = fmt::format("\n{}", table.Text());
  if (report.tasks.size() > 1) {
    text += fmt::format("average difference: {}\n",
                        DifferenceText(report.average, FewestItems(report.tasks)));
  }
  text += by_norm.size() == report.tasks.size() ? "base, model: acc_norm" : "base, model: acc";
  if (!by_norm.empty() && by_norm.size() < report.tasks.size()) {
    text += fmt::format(", of {} acc_norm", fmt::join(by_norm, " and "));
  }
  return text +
         "\nlost, won: right in the baseline only, in the model only; p: McNemar, exact;\n"
         "nats: mean change of the log-likelihood of the right answer\n";
}

// The items must not replace what the run reads.
Status CheckItemsPath(const TasksCommand& c, std::span<const TaskSpec* const> tasks) {
  if (c.items.empty()) return {};
  if (IsItemsFile(c.model)) {
    return InvalidArgument(c.model + ": is a file of items already; --items needs a model");
  }
  std::vector<std::string> inputs = {c.baseline};
  for (const TaskSpec* task : tasks) {
    for (const TaskSpec::File& file : task->files) {
      for (const char* name : {file.data, file.labels}) {
        inputs.push_back((std::filesystem::path(c.data) / name).string());
      }
    }
  }
  const std::string files[] = {c.items};
  OCTET_TRY(CheckNotRead(files, inputs));
  OCTET_TRY(ProbeReports(c.model, files));
  return c.baseline.empty() ? Status() : ProbeReports(c.baseline, files);
}

}  // namespace

Status Run(const TasksCommand& c) {
  OCTET_ASSIGN(const std::vector<const TaskSpec*> tasks, ChosenTasks(c.tasks));
  OCTET_TRY(CheckModelOrItems(c.model));
  OCTET_TRY(CheckModelOrItems(c.baseline));
  OCTET_TRY(CheckItemsPath(c, tasks));
  std::optional<Items> baseline;
  // A file first: it may be wrong, and is read at once.
  if (IsItemsFile(c.baseline)) {
    OCTET_ASSIGN(baseline, ReadItems(c, c.baseline, tasks));
  }
  OCTET_ASSIGN(const Items items, ItemsOf(c, c.model, tasks, nullptr));
  if (!c.items.empty()) OCTET_TRY(WriteTextFile(c.items, ItemLines(items)));
  if (!c.baseline.empty() && !baseline) {
    OCTET_ASSIGN(baseline, ItemsOf(c, c.baseline, tasks, &items));
  }
  const std::vector<TaskReport> reports = SummarizeTasks(items);
  std::optional<PairedReport> paired;
  if (baseline) {
    OCTET_ASSIGN(paired, ComparePaired(*baseline, items));
  }
  if (c.json) {
    Json j = ToJson(c, reports);
    if (paired) j.Set("paired", ToJson(*paired));
    PrintJson("evaluate.tasks", std::move(j));
    return {};
  }
  Print(ToText(reports) + (paired ? ToText(*paired) : ""));
  return {};
}

}  // namespace octet::cli
