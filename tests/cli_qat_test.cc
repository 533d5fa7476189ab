// Contracts of `octet s4d quantize`, `qat`, `recipes` and `evaluate` of what they write:
//  1. `quantize` writes a folder that `evaluate` runs with the accuracy that it reported, simulated
//     and in integers; a recipe file with the plan of a recipe gives the bytes of that recipe.
//  2. `qat` gives the same bytes for any number of threads and when it was killed, for each kind of
//     parameters; A stays as it was with frozen ones.
//  3. What cannot be is refused in one sentence with exit code 2: maps that name an unknown tensor,
//     unknown members and recipes, models that are quantized already or not at all.
//  4. `--items` has a line for each image, with the logits that decided it.
#include <sstream>

#include <gmock/gmock.h>

#include "tests/cli_training.h"

namespace octet {
namespace {

using std::chrono_literals::operator""ms;
using testing::AllOf;
using testing::HasSubstr;

class CliQat : public CliTrainingTest {
 protected:
  void SetUp() override {
    CliTrainingTest::SetUp();
    const Outcome o =
        Execute({Program(), "s4d", "train", "--mnist", PathOf("mnist"), "--output", PathOf("float"),
                 "--d-model", "6", "--modes", "5", "--epochs", "10", "--batch", "20"});
    ASSERT_EQ(o.exit_code, 0) << o.err;
  }

  std::vector<std::string> Quantize(const std::string& recipe, const std::string& output) const {
    return {"s4d",      "quantize", PathOf("float"), "--mnist",     PathOf("mnist"),
            "--recipe", recipe,     "--output",      PathOf(output)};
  }
  std::vector<std::string> Qat(const std::string& parameters, const std::string& output,
                               const char* threads = "1", const char* epochs = "6") const {
    return {Program(),   "s4d",           "qat",          PathOf("float"),
            "--mnist",   PathOf("mnist"), "--recipe",     "w4a6",
            "--output",  PathOf(output),  "--parameters", parameters,
            "--epochs",  epochs,          "--batch",      "20",
            "--distill", "0.5",           "--threads",    threads};
  }
  std::vector<std::string> Evaluate(const std::string& folder) const {
    return {"s4d", "evaluate", PathOf(folder), "--mnist", PathOf("mnist")};
  }
  std::string Refused(std::vector<std::string> args) const {
    args.insert(args.begin(), Program());
    const Outcome o = Execute(args);
    EXPECT_EQ(o.exit_code, 2) << o.out;
    EXPECT_EQ(o.err.find('\n'), o.err.size() - 1) << o.err;
    return o.err;
  }
};

TEST_F(CliQat, QuantizedFoldersRun) {
  for (const char* recipe : {"paper-w8a8", "w8a8", "w4a6-x16"}) {
    const Json made = OctetJson(Quantize(recipe, recipe));
    const Json seen = OctetJson(Evaluate(recipe));
    EXPECT_EQ(*made.Find("accuracy"), *seen.Find("accuracy")) << recipe;
    EXPECT_EQ(*made.Find("images"), Json(100));
    EXPECT_GT(*made.Find("kl_mean")->AsNumber(), 0);
  }
  std::vector<std::string> integers = Evaluate("w8a8");
  integers.emplace_back("--integers");
  const double simulated = *OctetJson(Evaluate("w8a8")).Find("loss")->AsNumber(),
               integer = *OctetJson(integers).Find("loss")->AsNumber();
  EXPECT_NE(simulated, integer);
  EXPECT_NEAR(simulated, integer, 0.05);
  EXPECT_THAT(
      Refused({"s4d", "evaluate", PathOf("paper-w8a8"), "--mnist", PathOf("mnist"), "--integers"}),
      HasSubstr("paper-w8a8: "));
}

TEST_F(CliQat, RecipeFilesGiveTheBytesOfTheirPlan) {
  OctetJson(Quantize("w4a6", "named"));
  const Outcome plan = Execute({Program(), "s4d", "recipes", "w4a6"});
  ASSERT_EQ(plan.exit_code, 0);
  WriteAll(PathOf("plan.json"), plan.out);
  OctetJson(Quantize(PathOf("plan.json"), "from_file"));
  for (const char* file : {"/config.json", "/model.safetensors"}) {
    EXPECT_EQ(ReadAll(PathOf("named") + file), ReadAll(PathOf("from_file") + file)) << file;
  }
  WriteAll(PathOf("plan.json"), R"({"recipe": "w4a6", "widths": {"layers.0.x": 4}})");
  const double wide = *OctetJson(Evaluate("named")).Find("loss")->AsNumber();
  OctetJson(Quantize(PathOf("plan.json"), "narrow"));
  EXPECT_NE(*OctetJson(Evaluate("narrow")).Find("loss")->AsNumber(), wide);
  const Json schema = *Json::Parse(Execute({Program(), "s4d", "recipes", "--schema"}).out);
  EXPECT_NE(schema.Find("properties")->Find("widths"), nullptr);
  EXPECT_EQ(OctetJson({"s4d", "recipes"}).Find("recipes")->AsArray().size(), 6u);
}

TEST_F(CliQat, TrainsToTheSameBytes) {
  for (const char* parameters : {"frozen", "discrete", "continuous"}) {
    const std::string name = parameters;
    const Outcome one = Execute(Qat(name, name + "1"));
    ASSERT_EQ(one.exit_code, 0) << one.err;
    EXPECT_THAT(one.out, HasSubstr("epoch 6 of 6  loss "));
    ASSERT_EQ(Execute(Qat(name, name + "2", "2")).exit_code, 0);
    ExpectSame(name + "1", name + "2");
    const double before = *OctetJson(Quantize("w4a6", name + "p")).Find("kl_mean")->AsNumber();
    EXPECT_GT(before, 0);
    const Json after = OctetJson(Evaluate(name + "1"));
    EXPECT_EQ(*after.Find("images"), Json(100));
  }
}

TEST_F(CliQat, KilledGivesTheSameBytes) {
  // So many epochs that it still trains when a busy machine lets the test act.
  ASSERT_EQ(Execute(Qat("frozen", "whole", "2", "30")).exit_code, 0);
  const std::vector<std::string> args = Qat("frozen", "killed", "1", "30");
  ASSERT_TRUE(KillAfter(args, 3, 1ms));
  const Outcome last = Execute(args);
  ASSERT_EQ(last.exit_code, 0) << last.err;
  EXPECT_THAT(last.err, HasSubstr("going on after epoch "));
  ExpectSame("killed", "whole");
}

TEST_F(CliQat, ItemsAreTheDecisions) {
  std::vector<std::string> args = Evaluate("float");
  args.insert(args.end(), {"--items", PathOf("items.jsonl")});
  const Json report = OctetJson(args);
  std::istringstream lines(ReadAll(PathOf("items.jsonl")));
  int64_t count = 0, correct = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const Json item = *Json::Parse(line);
    EXPECT_EQ(item.Find("image")->AsInt(), count);
    const Json::Array& logits = item.Find("logits")->AsArray();
    ASSERT_EQ(logits.size(), 10u);
    size_t best = 0;
    for (size_t k = 1; k < logits.size(); ++k) {
      if (*logits[k].AsNumber() > *logits[best].AsNumber()) best = k;
    }
    EXPECT_EQ(static_cast<size_t>(item.Find("prediction")->AsInt()), best);
    correct += *item.Find("prediction") == *item.Find("label");
  }
  EXPECT_EQ(count, 100);
  EXPECT_EQ(Json(correct), *report.Find("correct"));
}

TEST_F(CliQat, RefusesInOneSentence) {
  WriteAll(PathOf("bad.json"), R"({"recipe": "w4a6", "widths": {"layers.4.x": 4}})");
  EXPECT_THAT(Refused(Quantize(PathOf("bad.json"), "q")),
              AllOf(HasSubstr("bad.json"), HasSubstr("no tensor layers.4.x")));
  WriteAll(PathOf("bad.json"), R"({"bits": 4})");
  EXPECT_THAT(Refused(Quantize(PathOf("bad.json"), "q")),
              AllOf(HasSubstr("bad.json"), HasSubstr("unknown member bits")));
  EXPECT_THAT(Refused(Quantize("w5", "q")), HasSubstr("recipe w5 is unknown"));
  WriteAll(PathOf("bad.json"), R"({"recipe": "w4a6", "x": {"rounding": "feedback"}})");
  std::vector<std::string> untrainable = Qat("frozen", "q");
  untrainable.erase(untrainable.begin());
  untrainable[6] = PathOf("bad.json");
  EXPECT_THAT(Refused(untrainable), AllOf(HasSubstr("octet: " + PathOf("bad.json") + ": x: "),
                                          HasSubstr("trained with")));
  OctetJson(Quantize("w8a8", "q"));
  std::vector<std::string> again = Quantize("w8a8", "again");
  again[2] = PathOf("q");
  EXPECT_THAT(Refused(again), HasSubstr("quantized already"));
  EXPECT_THAT(
      Refused({"s4d", "evaluate", PathOf("float"), "--mnist", PathOf("mnist"), "--integers"}),
      HasSubstr("is not quantized"));
  std::string config = ReadAll(PathOf("q") + "/config.json");
  config.replace(config.find("\"frames\""), 8, "\"framez\"");
  WriteAll(PathOf("q") + "/config.json", config);
  EXPECT_THAT(Refused(Evaluate("q")), AllOf(HasSubstr("config.json"), HasSubstr("site framez")));
  EXPECT_THAT(Refused({"generate", PathOf("q"), "--prompt", "x"}), HasSubstr("S4D"));
  EXPECT_EQ(Entries().size(), 4u);  // the images, the float model, q, the recipe
}

}  // namespace
}  // namespace octet
