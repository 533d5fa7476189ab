// Contracts: prompts, choices and labels are those that lm-evaluation-harness makes of the same
// files; every layout of a task's file gives the same items; a bad line is named by file and line.
#include "eval/tasks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include <fmt/format.h>

#include "eval/task_goldens.h"
#include "io/scratch_folder.h"

namespace octet {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class TasksTest : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = std::filesystem::path(folder_.path()) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }

  Result<std::vector<TaskItem>> Read(const char* task, int64_t limit = 0) const {
    return ReadTask(*FindTask(task), folder_.path(), limit);
  }

  // The only item of a file with one line.
  TaskItem ReadOne(const char* task, const std::string& file, const std::string& line) const {
    Write(file, line);
    const auto items = Read(task);
    EXPECT_TRUE(items.ok()) << items.status().message();
    std::filesystem::remove(std::filesystem::path(folder_.path()) / file);
    return items.ok() && items->size() == 1 ? (*items)[0] : TaskItem();
  }

  std::string ErrorOf(const char* task, const std::string& file, const std::string& text) const {
    Write(file, text);
    const auto items = Read(task);
    EXPECT_FALSE(items.ok());
    return items.ok() ? "" : items.status().message();
  }

  ScratchFolder folder_;
};

TEST_F(TasksTest, PromptsAreTheHarnesss) {
  for (const TaskSpec& task : AllTasks()) {
    const std::vector<TaskItem> items = ReadGoldenTask(task);
    const std::vector<Json> expected = GoldenItems(task);
    ASSERT_EQ(items.size(), expected.size()) << task.name;
    for (size_t i = 0; i < items.size(); ++i) {
      const Json::Array& prompts = Array(expected[i], "prompts");
      ASSERT_EQ(items[i].prompts.size(), prompts.size()) << task.name << " " << i;
      for (size_t k = 0; k < prompts.size(); ++k) {
        EXPECT_EQ(items[i].prompts[k].context, prompts[k].AsArray()[0].AsString());
        EXPECT_EQ(items[i].prompts[k].continuation, prompts[k].AsArray()[1].AsString());
      }
    }
  }
}

TEST_F(TasksTest, ChoicesAreAsLongAsTheirCodePoints) {
  const TaskItem item =
      ReadOne("piqa", "valid.jsonl", R"({"goal": "g", "sol1": "né☕ ", "sol2": "", "label": "1"})");
  EXPECT_THAT(item.lengths, testing::ElementsAre(4, 0));
  EXPECT_EQ(item.gold, 1);
}

TEST_F(TasksTest, EveryLayoutGivesTheSameItem) {
  const TaskItem hub = ReadOne(
      "arc_easy", "arc_easy_test.jsonl",
      R"({"question": "Q?", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"})");
  const TaskItem ai2 =
      ReadOne("arc_easy", "ARC-V1-Feb2018-2/ARC-Easy/ARC-Easy-Test.jsonl",
              R"({"id": "m", "question": {"stem": "Q?", "choices": [{"text": "x", "label": "A"}, )"
              R"({"text": "y", "label": "B"}]}, "answerKey": "B"})");
  EXPECT_EQ(hub.prompts, ai2.prompts);
  EXPECT_EQ(hub.gold, 1);
  EXPECT_EQ(ai2.gold, 1);
  const TaskItem plain = ReadOne("arc_easy", "ARC-Easy-Test.jsonl",
                                 R"({"question": "Q?", "choices": ["x", "y"], "gold": 1})");
  EXPECT_EQ(hub.prompts, plain.prompts);
  EXPECT_EQ(plain.gold, 1);

  const TaskItem raw = ReadOne(
      "hellaswag", "hellaswag_val.jsonl",
      R"({"activity_label": "A", "ctx_a": "b.", "ctx_b": "c", "endings": ["d", "e"], "label": 1})");
  const TaskItem prepared = ReadOne("hellaswag", "hellaswag_val.jsonl",
                                    R"({"query": "A: b. C", "choices": ["d", "e"], "gold": 1})");
  EXPECT_EQ(raw.prompts, prepared.prompts);
  EXPECT_EQ(raw.gold, prepared.gold);
}

TEST_F(TasksTest, LabelsComeFromTheFileBesides) {
  Write("valid.jsonl",
        "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}\n"
        "{\"goal\": \"h\", \"sol1\": \"a\", \"sol2\": \"b\"}\n");
  Write("valid-labels.lst", "1\r\n0\n");
  const auto items = Read("piqa");
  ASSERT_TRUE(items.ok()) << items.status().message();
  EXPECT_EQ((*items)[0].gold, 1);
  EXPECT_EQ((*items)[1].gold, 0);

  Write("valid-labels.lst", "1\n");
  EXPECT_THAT(Read("piqa").status().message(),
              AllOf(HasSubstr("valid.jsonl: line 2"), HasSubstr("valid-labels.lst has 1 lines")));
  Write("valid-labels.lst", "1\n0\n1\n");
  EXPECT_THAT(Read("piqa").status().message(),
              AllOf(HasSubstr("valid-labels.lst"), HasSubstr("3 lines")));
  Write("valid-labels.lst", "1\nyes\n");
  EXPECT_THAT(Read("piqa").status().message(),
              AllOf(HasSubstr("valid-labels.lst: line 2"), Not(HasSubstr("valid.jsonl"))));
  Write("valid-labels.lst", "1\n2\n");
  EXPECT_THAT(Read("piqa").status().message(),
              AllOf(HasSubstr("valid.jsonl: line 2"), HasSubstr("label 2")));
  std::filesystem::remove(std::filesystem::path(folder_.path()) / "valid-labels.lst");
  EXPECT_EQ(Read("piqa").status().code(), Code::kNotFound);
}

TEST_F(TasksTest, LimitTakesTheFirst) {
  Write("lambada_test.jsonl", "{\"text\": \"a b\"}\n\n{\"text\": \"c d\"}\n{\"text\": \"e f\"}\n");
  const auto items = Read("lambada_openai", 2);
  ASSERT_TRUE(items.ok());
  ASSERT_EQ(items->size(), 2u);
  EXPECT_EQ((*items)[1].prompts[0].context, "c");
  EXPECT_EQ(Read("lambada_openai", 7)->size(), 3u);
}

TEST_F(TasksTest, BadLinesAreNamed) {
  const char* wino = "winogrande_dev.jsonl";
  EXPECT_THAT(
      ErrorOf("winogrande", wino, "{\"sentence\": \"a _\"}"),
      AllOf(HasSubstr("winogrande_dev.jsonl: line 1"), HasSubstr("\"option1\" is missing")));
  EXPECT_THAT(ErrorOf("winogrande", wino, "[]"), HasSubstr("want an object, not an array"));
  EXPECT_THAT(ErrorOf("winogrande", wino, "{\"sentence\": "), HasSubstr("line 1, column"));
  EXPECT_THAT(ErrorOf("winogrande", wino, "\xff"), HasSubstr("line 1"));
  const char* form = R"({{"sentence": "{}", "option1": "x", "option2": "y", "answer": {}}})";
  const auto item = [&](const char* sentence, const char* answer) {
    return fmt::format(fmt::runtime(form), sentence, answer);
  };
  EXPECT_THAT(ErrorOf("winogrande", wino, item("a _ b", "\"1\"") + "\n" + item("a b", "\"1\"")),
              AllOf(HasSubstr("line 2"), HasSubstr("has no _")));
  EXPECT_THAT(ErrorOf("winogrande", wino, item("a _", "3")), HasSubstr("the answer 3"));
  EXPECT_THAT(ErrorOf("winogrande", wino, item("a _", "\"\"")), HasSubstr("\"answer\" is not"));
  EXPECT_THAT(ErrorOf("winogrande", wino, item("a _", "1.5")), HasSubstr("\"answer\" is not"));
  EXPECT_THAT(ErrorOf("winogrande", wino, "\n \n"), HasSubstr("there is no item"));

  const char* swag = "hellaswag_val.jsonl";
  EXPECT_THAT(ErrorOf("hellaswag", swag, R"({"query": "q", "choices": ["a"], "gold": 0})"),
              HasSubstr("1 choices"));
  EXPECT_THAT(ErrorOf("hellaswag", swag, R"({"query": "q", "choices": ["a", 1], "gold": 0})"),
              HasSubstr("not an array of strings"));
  EXPECT_THAT(ErrorOf("hellaswag", swag, R"({"query": "q", "choices": ["a", "b"], "gold": -1})"),
              HasSubstr("label -1"));
  EXPECT_THAT(ErrorOf("hellaswag", swag, R"({"query": 5, "choices": ["a", "b"], "gold": 1})"),
              HasSubstr("\"query\" is not a string"));

  const char* arc = "arc_easy_test.jsonl";
  EXPECT_THAT(
      ErrorOf(
          "arc_easy", arc,
          R"({"question": "Q", "choices": {"text": ["x", "y"], "label": ["A"]}, "answerKey": "A"})"),
      HasSubstr("2 choices and 1 labels"));
  EXPECT_THAT(
      ErrorOf(
          "arc_easy", arc,
          R"({"question": "Q", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "C"})"),
      HasSubstr("answerKey \"C\""));
}

TEST_F(TasksTest, MissingFilesAndUnknownTasks) {
  EXPECT_EQ(FindTask("hellaswg"), nullptr);
  const auto items = Read("arc_challenge");
  EXPECT_EQ(items.status().code(), Code::kNotFound);
  EXPECT_THAT(items.status().message(),
              AllOf(HasSubstr(folder_.path()), HasSubstr("arc_challenge_test.jsonl")));
}

TEST_F(TasksTest, BracketsWithoutAnEndStay) {
  const std::string open(20000, '[');
  const TaskItem item = ReadOne(
      "hellaswag", "hellaswag_val.jsonl",
      fmt::format(
          R"({{"activity_label": "A", "ctx_a": "{}", "ctx_b": "", "endings": ["a", "b"], "label": 0}})",
          open));
  EXPECT_EQ(item.prompts[0].context, "A: " + open);
}

}  // namespace
}  // namespace octet
