// The goldens of zero-shot tasks for the tests of eval/: tests/golden/tasks, which
// tools/make_task_goldens.py wrote with lm-evaluation-harness and transformers.
#ifndef OCTET_EVAL_TASK_GOLDENS_H_
#define OCTET_EVAL_TASK_GOLDENS_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "eval/json_lines.h"
#include "eval/tasks.h"

namespace octet {

inline constexpr const char* kTaskGoldens = "tests/golden/tasks";

inline std::vector<Json> GoldenLines(const std::string& file) {
  std::vector<Json> lines;
  const Status status = ForEachJsonLine(std::string(kTaskGoldens) + "/" + file,
                                        [&](const Json& line, int64_t) -> Status {
                                          lines.push_back(line);
                                          return {};
                                        });
  EXPECT_TRUE(status.ok()) << status.message();
  return lines;
}

// The expected items of a task, in order.
inline std::vector<Json> GoldenItems(const TaskSpec& task) {
  std::vector<Json> own;
  for (Json& line : GoldenLines("expected.jsonl")) {
    if (line.Find("task")->AsString() == task.name) own.push_back(std::move(line));
  }
  EXPECT_FALSE(own.empty()) << task.name;
  return own;
}

inline std::vector<TaskItem> ReadGoldenTask(const TaskSpec& task) {
  Result<std::vector<TaskItem>> items = ReadTask(task, kTaskGoldens, 0);
  EXPECT_TRUE(items.ok()) << items.status().message();
  return items.ok() ? *std::move(items) : std::vector<TaskItem>();
}

// The array of that name.
inline const Json::Array& Array(const Json& item, const char* key) {
  return item.Find(key)->AsArray();
}

}  // namespace octet
#endif  // OCTET_EVAL_TASK_GOLDENS_H_
