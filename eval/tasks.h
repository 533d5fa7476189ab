// Zero-shot tasks: their files, and the prompts that lm-evaluation-harness 0.4.13 makes of them.
// docs/evaluation.md has the formats and where to get the files.
#ifndef OCTET_EVAL_TASKS_H_
#define OCTET_EVAL_TASKS_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace octet {

// A model is asked how likely `continuation` is after `context`.
struct Prompt {
  std::string context, continuation;
  friend bool operator==(const Prompt&, const Prompt&) = default;
};

// One item of a task.
struct TaskItem {
  std::vector<Prompt> prompts;   // one for each choice; of a task without choices the only one
  std::vector<int64_t> lengths;  // of the choices in code points; empty: the task has no acc_norm
  int64_t gold = 0;              // index of the right choice
  int64_t doc = 0;               // index in the file
};

// How a task is read and scored; lm_eval/tasks/<name>/ has the harness's own form.
struct TaskSpec {
  // Names of files below a data folder, the first that exists is read; labels "" where the lines
  // have them.
  struct File {
    const char* data;
    const char* labels = "";
  };
  const char* name;
  bool choices;           // else right is what the model would write: every token most likely
  bool papers_take_norm;  // acc_norm is what papers print, else acc
  std::vector<File> files;
  Result<TaskItem> (*read)(const Json& line);
};

// lambada_openai, hellaswag, piqa, arc_easy, arc_challenge, winogrande: the papers' order.
std::span<const TaskSpec> AllTasks();
// nullptr for an unknown name.
const TaskSpec* FindTask(std::string_view name);

// The first `limit` items (0: all) of a task in `folder`, at least one. kNotFound, naming the
// folder and the names looked for, when it has none of the files, or is none; else errors start
// with the file and, where it is one, the line.
Result<std::vector<TaskItem>> ReadTask(const TaskSpec& task, const std::string& folder,
                                       int64_t limit);

}  // namespace octet
#endif  // OCTET_EVAL_TASKS_H_
