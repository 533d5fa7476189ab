// Contracts: metrics, means and standard errors are lm-evaluation-harness's; results do not depend
// on the number of threads, bit for bit; files of items read back as they were written, and what
// was not written so is refused by line.
#include "eval/task_results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <iterator>

#include "eval/item_lines.h"
#include "eval/task_goldens.h"
#include "eval/test_model.h"
#include "io/scratch_folder.h"

namespace octet {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::vector<ItemResult> RunGoldens(const std::shared_ptr<const Model>& model, int threads) {
  std::vector<ItemResult> all;
  for (const TaskSpec& task : AllTasks()) {
    // Often enough that threads have more than one part each.
    std::vector<TaskItem> items;
    for (int i = 0; i < 3; ++i) {
      std::ranges::copy(ReadGoldenTask(task), std::back_inserter(items));
    }
    const auto results = RunTask(model, task, items, threads, {});
    EXPECT_TRUE(results.ok()) << results.status().message();
    if (results.ok()) std::ranges::copy(*results, std::back_inserter(all));
  }
  return all;
}

TEST(TaskResultsTest, MetricsAreTheHarnesss) {
  const auto model = LoadBooks();
  ASSERT_NE(model, nullptr);
  const std::vector<Json> summaries = GoldenLines("summary.jsonl");
  ASSERT_EQ(summaries.size(), AllTasks().size());
  for (size_t t = 0; t < summaries.size(); ++t) {
    const TaskSpec& task = AllTasks()[t];
    const auto results = RunTask(model, task, ReadGoldenTask(task), 1, {});
    ASSERT_TRUE(results.ok()) << results.status().message();
    const std::vector<Json> expected = GoldenItems(task);
    for (size_t i = 0; i < expected.size(); ++i) {
      const ItemResult& r = (*results)[i];
      const auto is = [&](const char* key) { return *expected[i].Find(key)->AsNumber() == 1; };
      EXPECT_EQ(r.acc, is("acc")) << task.name << " " << i;
      ASSERT_EQ(r.acc_norm.has_value(), expected[i].Find("acc_norm") != nullptr);
      if (r.acc_norm) {
        EXPECT_EQ(*r.acc_norm, is("acc_norm")) << task.name << " " << i;
      }
    }
    const TaskReport report = Summarize(task, *results);
    const auto number = [&](const char* key) { return *summaries[t].Find(key)->AsNumber(); };
    EXPECT_NEAR(report.acc.value, number("acc"), 1e-12);
    EXPECT_NEAR(report.acc.error, number("acc_stderr"), 1e-12);
    if (report.acc_norm) {
      EXPECT_NEAR(report.acc_norm->value, number("acc_norm"), 1e-12);
      EXPECT_NEAR(report.acc_norm->error, number("acc_norm_stderr"), 1e-12);
    }
    EXPECT_EQ(report.perplexity.has_value(), task.name == std::string("lambada_openai"));
    if (report.perplexity) {
      // Log-likelihoods agree to 1e-3.
      EXPECT_NEAR(report.perplexity->value / number("perplexity"), 1, 1e-3);
    }
  }
}

TEST(TaskResultsTest, ThreadsChangeNoBit) {
  const auto model = LoadBooks();
  ASSERT_NE(model, nullptr);
  const std::string one = ItemLines(RunGoldens(model, 1));
  EXPECT_EQ(one, ItemLines(RunGoldens(model, 2)));
  EXPECT_EQ(one, ItemLines(RunGoldens(model, 5)));
}

TEST(TaskResultsTest, TheFirstOfEqualChoicesAndTheLengthDecide) {
  const TaskSpec& piqa = *FindTask("piqa");
  TaskItem item{{{"c", " aaaa"}, {"c", " bb"}, {"c", " c"}}, {4, 2, 1}, 1};
  const ItemResult equal = Judge(piqa, item, 0, {{-2, false}, {-2, false}, {-2, false}});
  EXPECT_EQ(equal.prediction, 0);
  EXPECT_EQ(equal.prediction_norm, 0);
  const ItemResult unequal = Judge(piqa, item, 0, {{-9, false}, {-2, false}, {-1.5, false}});
  EXPECT_EQ(unequal.prediction, 2);
  EXPECT_EQ(unequal.prediction_norm, 1);
  EXPECT_FALSE(unequal.acc);
  EXPECT_TRUE(*unequal.acc_norm);
  item.lengths[0] = 0;  // as numpy divides: minus infinity
  EXPECT_EQ(Judge(piqa, item, 0, {{-1, false}, {-2, false}, {-2, false}}).prediction_norm, 1);
}

TEST(TaskResultsTest, MeansAndErrors) {
  const MeanAndError one = MeanOf(std::vector<double>{3});
  EXPECT_EQ(one.value, 3);
  EXPECT_EQ(one.error, 0);
  const MeanAndError four = MeanOf(std::vector<double>{1, 0, 0, 1});
  EXPECT_DOUBLE_EQ(four.value, 0.5);
  EXPECT_DOUBLE_EQ(four.error, std::sqrt(1.0 / 3 / 4));
  TaskReport a, b;
  a.task = FindTask("piqa");
  a.acc = {0.4, 0.03};
  a.acc_norm = {0.9, 1};
  b.task = FindTask("hellaswag");
  b.acc = {0.9, 1};
  b.acc_norm = {0.2, 0.04};
  const MeanAndError average = Average(std::vector<TaskReport>{a, b});
  EXPECT_DOUBLE_EQ(average.value, 0.3);
  EXPECT_DOUBLE_EQ(average.error, 0.025);
}

TEST(TaskResultsTest, ErrorsNameTaskAndItem) {
  const auto model = LoadBooks();
  ASSERT_NE(model, nullptr);
  const std::vector<TaskItem> items = {{{{"a", " b"}}, {}, 0}, {{{"  ", " b"}}, {}, 0, 7}};
  const auto results = RunTask(model, *FindTask("lambada_openai"), items, 1, {});
  EXPECT_THAT(results.status().message(), HasSubstr("lambada_openai: item 7: the context"));
}

TEST(TaskResultsTest, OnlyAnEmptyContextNeedsAPrefixToken) {
  const ScratchFolder folder;
  for (const char* file : {"config.json", "model.safetensors", "tokenizer.json"}) {
    std::filesystem::copy(std::string("models/books-mamba2-5m/") + file, folder.At(file));
  }
  folder.Write("generation_config.json", R"({"eos_token_id": []})");
  const auto model = Model::Load(folder.path(), {});
  ASSERT_TRUE(model.ok()) << model.status().message();
  const TaskSpec& task = *FindTask("lambada_openai");
  std::vector<TaskItem> items = {{{{"a", " b"}}, {}, 0}};
  EXPECT_TRUE(RunTask(*model, task, items, 1, {}).ok());
  items.push_back({{{"", " b"}}, {}, 0});
  EXPECT_THAT(RunTask(*model, task, items, 1, {}).status().message(),
              HasSubstr("nothing tells which token ends a text"));
}

class ItemLinesTest : public testing::Test {
 protected:
  static std::vector<ItemResult> Some() {
    const TaskItem pair{{{"c", " a"}, {"c", " b"}}, {1, 1}, 1};
    std::vector<ItemResult> items = {
        Judge(*FindTask("piqa"), pair, 7, {{-1.25, false}, {-0.1, true}}),
        Judge(*FindTask("lambada_openai"), {{{"c", " a"}}, {}, 0}, 0, {{-0.5, true}})};
    TaskItem options{{{"a", " x"}, {"b", " x"}}, {}, 0};
    items.push_back(Judge(*FindTask("winogrande"), options, 3, {{-4, false}, {-3, false}}));
    return items;
  }

  Status ReadEdited(const std::function<void(Json*)>& edit) const {
    Json line = *Json::Parse(ItemLines(Some()).substr(0, ItemLines(Some()).find('\n')));
    edit(&line);
    return ReadItemLines(folder_.Write("items.jsonl", line.Dump(-1) + "\n")).status();
  }

  ScratchFolder folder_;
};

TEST_F(ItemLinesTest, ReadBack) {
  const std::string lines = ItemLines(Some());
  const auto items = ReadItemLines(folder_.Write("items.jsonl", lines));
  ASSERT_TRUE(items.ok()) << items.status().message();
  EXPECT_EQ(ItemLines(*items), lines);
  EXPECT_EQ((*items)[0].gold, 1);
  EXPECT_EQ((*items)[1].gold, -1);
}

TEST_F(ItemLinesTest, WhatWasNotWrittenSoIsRefused) {
  EXPECT_TRUE(ReadEdited([](Json*) {}).ok());
  for (const char* key :
       {"task", "doc", "item", "loglikelihood", "is_greedy", "prediction", "gold", "acc"}) {
    const Status status = ReadEdited([&](Json* line) { line->Erase(key); });
    EXPECT_EQ(status.code(), Code::kCorrupt) << key;
    EXPECT_THAT(status.message(), AllOf(HasSubstr("items.jsonl: line 1"), HasSubstr(key)));
  }
  const auto edited = [&](const char* key, Json value) {
    return ReadEdited([&](Json* line) { line->Set(key, std::move(value)); }).message();
  };
  EXPECT_THAT(edited("task", "piq"), HasSubstr("no task \"piq\""));
  EXPECT_THAT(edited("gold", 2), HasSubstr("\"gold\""));
  EXPECT_THAT(edited("gold", 0), HasSubstr("\"acc\""));
  EXPECT_THAT(edited("acc_norm", 0), HasSubstr("\"acc_norm\""));
  EXPECT_THAT(edited("doc", -1), HasSubstr("\"doc\""));
  EXPECT_THAT(edited("loglikelihood", Json::Array{Json("NaN"), Json(1.0)}), HasSubstr("loglik"));
  EXPECT_THAT(edited("is_greedy", Json::Array{Json(true)}), HasSubstr("is_greedy"));
  EXPECT_THAT(ReadItemLines(folder_.Write("a.jsonl", "")).status().message(),
              HasSubstr("there is no item"));
  const std::string lines = ItemLines(Some());
  EXPECT_THAT(ReadItemLines(folder_.Write("b.jsonl", lines + lines)).status().message(),
              AllOf(HasSubstr("b.jsonl: line 4"), HasSubstr("there twice")));
}

}  // namespace
}  // namespace octet
