// Contracts of `octet evaluate tasks`: a table whose lines fit 80 columns, one JSON object of the
// same numbers; items that do not depend on the number of threads, of float and quantized models;
// a comparison that is the same of models and of their files of items; one sentence for bad input,
// and nothing written.
#include <gtest/gtest.h>

#include <filesystem>

#include <fmt/format.h>

#include "tests/cli_output.h"
#include "tests/cli_program.h"

namespace octet {
namespace {

constexpr const char* kData = "tests/golden/tasks";
constexpr const char* kShort = "hellaswag,piqa,winogrande";  // tasks of short items

class CliTasksTest : public CliTest {
 protected:
  static std::vector<std::string> Tasks(const std::string& model,
                                        const std::vector<std::string>& more) {
    std::vector<std::string> args = {"evaluate", "tasks", model};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
  std::string ItemsOf(const std::string& model, const std::string& name,
                      std::vector<std::string> more = {}) const {
    more.insert(more.end(), {"--data", kData, "--tasks", kShort, "--items", PathOf(name)});
    const Outcome o = Octet(Tasks(model, more));
    EXPECT_EQ(o.exit_code, 0) << o.err;
    return PathOf(name);
  }
  void ExpectError(const std::vector<std::string>& args,
                   const std::vector<std::string>& parts) const {
    const std::vector<std::string> before = Entries();
    const Outcome o = Octet(args);
    EXPECT_EQ(o.exit_code, 2) << o.err;
    EXPECT_EQ(o.out, "");
    EXPECT_EQ(o.err.find('\n'), o.err.size() - 1) << o.err;
    for (const std::string& part : parts) {
      EXPECT_NE(o.err.find(part), std::string::npos) << part << " not in: " << o.err;
    }
    EXPECT_EQ(Entries(), before);
  }
};

TEST_F(CliTasksTest, TableAndJsonHaveTheHarnesssNumbers) {
  // All but the long texts of lambada_openai.
  const Outcome o = Octet(Tasks(kBooks, {"--data", kData, "--limit", "5"}));
  ASSERT_EQ(o.exit_code, 0) << o.err;
  ExpectNarrow(o.out);
  // tests/golden/tasks/summary.jsonl
  EXPECT_NE(o.out.find("40.00 +- 24.49"), std::string::npos) << o.out;
  EXPECT_NE(o.out.find("average of 6 tasks"), std::string::npos) << o.out;
  const Json j = OctetJson(Tasks(kBooks, {"--data", kData, "--tasks", "winogrande,hellaswag"}));
  const Json::Array& tasks = j.Find("tasks")->AsArray();
  ASSERT_EQ(tasks.size(), 2u);
  EXPECT_EQ(Text(tasks[0], "task"), "hellaswag");
  EXPECT_EQ(Text(tasks[0], "metric"), "acc_norm");
  EXPECT_EQ(Number(tasks[0], "items"), 5);
  EXPECT_NEAR(Number(tasks[0], "acc_norm_stderr"), 0.24494897427831783, 1e-12);
  EXPECT_EQ(tasks[1].Find("acc_norm"), nullptr);
  EXPECT_NEAR(Number(j, "average"), (Number(tasks[0], "acc_norm") + Number(tasks[1], "acc")) / 2,
              1e-12);
}

TEST_F(CliTasksTest, ItemsDoNotDependOnThreadsAndReadBack) {
  const std::string quantized = PathOf("q");
  ASSERT_EQ(Octet(QuickQuantize(kBooks, "ssdi8-plus-w8a8", quantized)).exit_code, 0);
  for (const std::string& model : {std::string(kBooks), quantized}) {
    const std::string one = ReadAll(ItemsOf(model, "1.jsonl", {"--threads", "1"}));
    EXPECT_EQ(one, ReadAll(ItemsOf(model, "3.jsonl", {"--threads", "3"})));
    EXPECT_NE(one.find("\"loglikelihood\""), std::string::npos);
    const std::string table = Octet(Tasks(model, {"--data", kData, "--tasks", kShort})).out;
    EXPECT_EQ(table, Octet(Tasks(PathOf("1.jsonl"), {})).out);
  }
}

TEST_F(CliTasksTest, ABaselineIsAModelOrItsItems) {
  const std::string quantized = PathOf("q");
  ASSERT_EQ(Octet(QuickQuantize(kBooks, "absmax", quantized)).exit_code, 0);
  const std::string base = ItemsOf(kBooks, "base.jsonl"), items = ItemsOf(quantized, "q.jsonl");
  const auto compare = [&](const std::string& model, const std::string& baseline) {
    return Octet(Tasks(model, {"--data", kData, "--tasks", kShort, "--baseline", baseline}));
  };
  const Outcome models = compare(quantized, kBooks);
  ASSERT_EQ(models.exit_code, 0) << models.err;
  ExpectNarrow(models.out);
  EXPECT_EQ(models.out, compare(quantized, base).out);
  EXPECT_EQ(models.out, Octet(Tasks(items, {"--baseline", base})).out);
  const Json j = OctetJson(Tasks(items, {"--baseline", base, "--limit", "2", "--tasks", "piqa"}));
  const Json& task = j.Find("paired")->Find("tasks")->AsArray()[0];
  EXPECT_EQ(Number(task, "items"), 2);
  EXPECT_EQ(Number(task, "model") - Number(task, "baseline"), Number(task, "difference"));
  const Json same = OctetJson(Tasks(items, {"--baseline", items}));
  EXPECT_EQ(Number(*same.Find("paired"), "average_difference"), 0);
}

TEST_F(CliTasksTest, ABaselineRunsTheItemsOfTheFileAlone) {
  // The data of other tasks is not there, and piqa's item 2 would stop the run.
  const std::string two = ItemsOf(kBooks, "two.jsonl", {"--limit", "2"});
  std::string lines = ReadAll(two);
  lines.erase(0, lines.find('\n', lines.find('\n') + 1) + 1);  // hellaswag
  lines.resize(lines.find('\n', lines.find('\n') + 1) + 1);
  WriteAll(folder_ / "piqa.jsonl", lines);
  const std::string data = ReadAll(std::string(kData) + "/piqa_valid.jsonl");
  const size_t third = data.find('\n', data.find('\n') + 1) + 1;
  std::string solution;
  for (int i = 0; i < 3000; ++i) {
    solution += "a 7 ";
  }
  WriteAll(folder_ / "piqa_valid.jsonl",
           data.substr(0, third) +
               fmt::format("{{\"goal\": \"g\", \"sol1\": \"{}\", \"sol2\": \"b\", \"label\": 0}}\n",
                           solution));
  ExpectError(Tasks(kBooks, {"--data", folder_.string(), "--tasks", "piqa"}), {"piqa: item 2"});
  const Json j =
      OctetJson(Tasks(PathOf("piqa.jsonl"), {"--data", folder_.string(), "--baseline", kBooks}));
  const Json::Array& tasks = j.Find("paired")->Find("tasks")->AsArray();
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(Number(tasks[0], "items"), 2);
  EXPECT_EQ(Number(tasks[0], "difference"), 0);
}

TEST_F(CliTasksTest, TablesSayWhatTheyCount) {
  const std::string one = ItemsOf(kBooks, "one.jsonl", {"--limit", "1"});
  const Outcome o = Octet(Tasks(one, {"--tasks", "piqa, winogrande", "--baseline", one}));
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_EQ(o.out.find("perplexity"), std::string::npos) << o.out;
  EXPECT_EQ(o.out.find("+-"), std::string::npos) << o.out;
  EXPECT_EQ(o.out.find('['), std::string::npos) << o.out;
  EXPECT_NE(o.out.find("base, model: acc\n"), std::string::npos) << o.out;
  const std::string all = Octet(Tasks(one, {"--baseline", one})).out;
  EXPECT_NE(all.find("base, model: acc, of hellaswag acc_norm\n"), std::string::npos) << all;
  EXPECT_NE(all.find("base %  model %"), std::string::npos) << all;
  const Json j = OctetJson(Tasks(one, {"--baseline", one, "--tasks", "hellaswag"}));
  EXPECT_EQ(Text(j, "model"), one);
  EXPECT_EQ(Text(j, "baseline"), one);
  EXPECT_EQ(Text(j, "protocol"), "lm-evaluation-harness 0.4.13");
  EXPECT_EQ(j.Find("average_stderr"), nullptr);
  EXPECT_EQ(j.Find("tasks")->AsArray()[0].Find("acc_stderr"), nullptr);
  EXPECT_EQ(j.Find("paired")->Find("average_difference_ci95"), nullptr);
}

TEST_F(CliTasksTest, BadInputIsOneSentence) {
  ExpectError(Tasks(kBooks, {"--data", kData, "--tasks", "hellaswg"}),
              {"unknown task hellaswg", "did you mean hellaswag?"});
  ExpectError(Tasks(kBooks, {"--data", kData, "--tasks", "something"}), {"the tasks are lambada"});
  ExpectError(Tasks(kBooks, {}), {"--data"});
  ExpectError(Tasks(kBooks, {"--data", PathOf("none")}), {"none: there is no such folder"});
  WriteAll(folder_ / "items.txt", "");
  ExpectError(Tasks(kBooks, {"--data", PathOf("items.txt")}), {"items.txt: is not a folder"});
  ExpectError(Tasks(kBooks, {"--data", folder_.string()}), {"no file of lambada_openai"});
  ExpectError(Tasks(PathOf("items.txt"), {}), {"items.txt", "does not end in .jsonl"});
  ExpectError(Tasks(kBooks, {"--data", kData, "--baseline", PathOf("items.txt")}),
              {"items.txt", "does not end in .jsonl"});
  ExpectError(Tasks(kBooks, {"--data", kData, "--items", "/proc/x.jsonl"}),
              {"/proc/x.jsonl: cannot be written"});
  ExpectError(Tasks(PathOf("none"), {"--data", kData}), {"none", "no such model"});
  ExpectError(Tasks(kBooks, {"--data", kData, "--limit", "0"}), {"--limit"});
  ExpectError(Tasks(kBooks, {"--data", kData, "--items", PathOf("no/such/file.jsonl")}),
              {"no/such/file.jsonl"});
  ExpectError(Tasks(kBooks, {"--data", kData, "--baseline", PathOf("none.jsonl")}), {"none.jsonl"});
}

TEST_F(CliTasksTest, BadFilesAreNamedByLine) {
  WriteAll(folder_ / "lambada_openai.jsonl", "{\"text\": \"a b\"}\n{\"txt\": \"a b\"}\n");
  const std::vector<std::string> lambada = {"--data",         folder_.string(), "--tasks",
                                            "lambada_openai", "--items",        PathOf("i.jsonl")};
  ExpectError(Tasks(kBooks, lambada), {"lambada_openai.jsonl: line 2", "\"text\" is missing"});
  WriteAll(folder_ / "lambada_openai.jsonl", "{\"text\": \"a b\"}\n{\"text\": \"   b\"}\n");
  ExpectError(Tasks(kBooks, lambada), {"lambada_openai: item 1", "blanks"});
  WriteAll(folder_ / "items.jsonl", "{\"task\": \"piqa\"}\n");
  ExpectError(Tasks(PathOf("items.jsonl"), {}), {"items.jsonl: line 1", "\"item\""});
  const std::string few = ItemsOf(kBooks, "few.jsonl", {"--limit", "1"});
  ExpectError(Tasks(kBooks, {"--data", kData, "--tasks", "piqa", "--baseline", few}),
              {"no item 1 of piqa"});
  ExpectError(Tasks(few, {"--items", PathOf("again.jsonl")}), {"few.jsonl", "already"});
  ExpectError(Tasks(kBooks, {"--data", kData, "--baseline", few, "--items", few}),
              {"few.jsonl", "is read"});
  const std::string data = PathOf("lambada_openai.jsonl"), before = ReadAll(data);
  ExpectError(Tasks(kBooks, {"--data", folder_.string(), "--tasks", "lambada_openai", "--items",
                             folder_.string() + "/./lambada_openai.jsonl"}),
              {"lambada_openai.jsonl: is read"});
  EXPECT_EQ(ReadAll(data), before);
  for (const char* name : {"piqa_valid.jsonl", "piqa_valid_labels.lst"}) {
    WriteAll(folder_ / name, "0\n");
    ExpectError(
        Tasks(kBooks, {"--data", folder_.string(), "--tasks", "piqa", "--items", PathOf(name)}),
        {name, "is read"});
  }
}

}  // namespace
}  // namespace octet
