// What a model makes of the items of a task, and the metrics of lm-evaluation-harness 0.4.13.
#ifndef OCTET_EVAL_TASK_RESULTS_H_
#define OCTET_EVAL_TASK_RESULTS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "eval/progress.h"
#include "eval/requests.h"
#include "eval/tasks.h"
#include "runtime/model.h"

namespace octet {

struct ItemResult {
  std::string task;
  int64_t doc = 0;            // index in the file
  std::string digest;         // of its prompts: the first 16 hex digits of their SHA-256
  std::vector<Score> scores;  // one for each choice
  // Indexes of choices; -1 without choices. The prediction is the most likely choice, the first of
  // equals; prediction_norm the most likely per code point, -1 where that is not defined.
  int64_t gold = -1, prediction = -1, prediction_norm = -1;
  bool acc = false;
  std::optional<bool> acc_norm;
};

// The metrics of one item; as many scores as prompts.
ItemResult Judge(const TaskSpec& task, const TaskItem& item, int64_t doc,
                 std::vector<Score> scores);

// Items of a task, in order. Does not depend on `threads`. Errors name task and item.
Result<std::vector<ItemResult>> RunTask(const std::shared_ptr<const Model>& model,
                                        const TaskSpec& task, std::span<const TaskItem> items,
                                        int threads, const Progress& progress);

// Mean and its standard error: sample standard deviation / sqrt(n), 0 for one value. At least one.
struct MeanAndError {
  double value = 0, error = 0;
};
MeanAndError MeanOf(std::span<const double> values);

struct TaskReport {
  const TaskSpec* task = nullptr;
  int64_t items = 0;
  MeanAndError acc;
  std::optional<MeanAndError> acc_norm;
  // Of a task without choices: exp of the negative mean log-likelihood of an item; its error by the
  // delta method.
  std::optional<MeanAndError> perplexity;
  // The metric that papers print.
  const MeanAndError& headline() const { return task->papers_take_norm ? *acc_norm : acc; }
};

// At least one item, all of this task.
TaskReport Summarize(const TaskSpec& task, std::span<const ItemResult> items);
// Of each task that has items, in the order of AllTasks.
std::vector<TaskReport> SummarizeTasks(std::span<const ItemResult> items);
// Unweighted mean of the headlines. At least one.
MeanAndError Average(std::span<const TaskReport> reports);

// 1 where the item is right by the headline metric, else 0.
double Counts(const TaskSpec& task, const ItemResult& item);

}  // namespace octet
#endif  // OCTET_EVAL_TASK_RESULTS_H_
