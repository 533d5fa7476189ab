#include "eval/task_results.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include <fmt/format.h>

#include "base/checked.h"
#include "base/sha256.h"
#include "eval/windows.h"

namespace octet {
namespace {

constexpr int64_t kItemsPerTask = 8;  // of one session, whose memory they share

std::string DigestOf(const TaskItem& item) {
  Sha256 hash;
  const auto add = [&](const std::string& text) {
    const std::string size = fmt::format("{}:", text.size());
    hash.Update(std::as_bytes(std::span(size)));
    hash.Update(std::as_bytes(std::span(text)));
  };
  for (const Prompt& p : item.prompts) {
    add(p.context);
    add(p.continuation);
  }
  return hash.Hex().substr(0, 16);
}

int64_t LargestOf(const std::vector<double>& values) {
  return std::ranges::max_element(values) - values.begin();
}

bool HasEmptyContext(const TaskItem& item) {
  return std::ranges::any_of(item.prompts, [](const Prompt& p) { return p.context.empty(); });
}

Result<std::vector<Score>> ScoreItem(const TaskItem& item, const Tokenizer& tokenizer,
                                     std::optional<TokenId> prefix, Scorer* scorer) {
  std::vector<Request> requests;
  for (const Prompt& p : item.prompts) {
    OCTET_ASSIGN(requests.emplace_back(), EncodeRequest(tokenizer, prefix, p));
  }
  return scorer->Run(requests);
}

}  // namespace

ItemResult Judge(const TaskSpec& task, const TaskItem& item, int64_t doc,
                 std::vector<Score> scores) {
  ItemResult r;
  r.task = task.name;
  r.doc = doc;
  r.digest = DigestOf(item);
  if (!task.choices) {
    r.acc = scores[0].is_greedy;
    r.scores = std::move(scores);
    return r;
  }
  std::vector<double> plain, per_length;
  for (size_t i = 0; i < scores.size(); ++i) {
    plain.push_back(scores[i].log_likelihood);
    if (item.lengths.empty()) continue;
    per_length.push_back(scores[i].log_likelihood / static_cast<double>(item.lengths[i]));
  }
  r.gold = item.gold;
  r.prediction = LargestOf(plain);
  r.acc = r.prediction == r.gold;
  if (!per_length.empty()) {
    r.prediction_norm = LargestOf(per_length);
    r.acc_norm = r.prediction_norm == r.gold;
  }
  r.scores = std::move(scores);
  return r;
}

Result<std::vector<ItemResult>> RunTask(const std::shared_ptr<const Model>& model,
                                        const TaskSpec& task, std::span<const TaskItem> items,
                                        int threads, const Progress& progress) {
  OCTET_ASSIGN(const Tokenizer tokenizer, model->tokenizer());
  std::optional<TokenId> prefix;  // not every model has one
  if (std::ranges::any_of(items, HasEmptyContext)) {
    OCTET_ASSIGN(prefix, PrefixToken(*model));
  }
  const int64_t count = std::ssize(items);
  std::vector<ItemResult> results(items.size());
  const auto run = [&](int64_t part, const std::shared_ptr<ThreadPool>& pool) -> Status {
    Scorer scorer(model, pool);
    const int64_t end = std::min(count, (part + 1) * kItemsPerTask);
    for (int64_t i = part * kItemsPerTask; i < end; ++i) {
      const auto at = static_cast<size_t>(i);
      Result<std::vector<Score>> scores = ScoreItem(items[at], tokenizer, prefix, &scorer);
      if (!scores.ok()) {
        return scores.status().Annotate(fmt::format("{}: item {}", task.name, items[at].doc));
      }
      results[at] = Judge(task, items[at], items[at].doc, *std::move(scores));
    }
    return {};
  };
  OCTET_TRY(ForEachWindow(CeilDiv(count, kItemsPerTask), threads, task.name, progress, run));
  return results;
}

MeanAndError MeanOf(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  if (values.size() == 1) return {mean, 0};
  double squares = 0;
  for (const double v : values) {
    squares += (v - mean) * (v - mean);
  }
  return {mean, std::sqrt(squares / (n - 1) / n)};
}

TaskReport Summarize(const TaskSpec& task, std::span<const ItemResult> items) {
  std::vector<double> acc, acc_norm, log_likelihood;
  for (const ItemResult& item : items) {
    acc.push_back(item.acc);
    if (item.acc_norm) acc_norm.push_back(*item.acc_norm);
    if (!task.choices) log_likelihood.push_back(item.scores[0].log_likelihood);
  }
  TaskReport report;
  report.task = &task;
  report.items = std::ssize(items);
  report.acc = MeanOf(acc);
  if (!acc_norm.empty()) report.acc_norm = MeanOf(acc_norm);
  if (!task.choices) {
    const MeanAndError mean = MeanOf(log_likelihood);
    const double perplexity = std::exp(-mean.value);
    report.perplexity = {perplexity, perplexity * mean.error};
  }
  return report;
}

std::vector<TaskReport> SummarizeTasks(std::span<const ItemResult> items) {
  std::vector<TaskReport> reports;
  for (const TaskSpec& task : AllTasks()) {
    std::vector<ItemResult> own;
    std::ranges::copy_if(items, std::back_inserter(own),
                         [&](const ItemResult& item) { return item.task == task.name; });
    if (!own.empty()) reports.push_back(Summarize(task, own));
  }
  return reports;
}

MeanAndError Average(std::span<const TaskReport> reports) {
  double sum = 0, squares = 0;
  for (const TaskReport& r : reports) {
    sum += r.headline().value;
    squares += r.headline().error * r.headline().error;
  }
  const auto n = static_cast<double>(reports.size());
  return {sum / n, std::sqrt(squares) / n};
}

double Counts(const TaskSpec& task, const ItemResult& item) {
  return task.papers_take_norm ? *item.acc_norm : item.acc;
}

}  // namespace octet
