// Contracts of JSON recipe files:
//  1. A file starts from a named recipe, its options and a plan that leaves everything in float;
//     options of the command line go before the file's.
//  2. Rules for some layers change those layers only, also end to end.
//  3. Errors name the file and the member.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/block_testing.h"
#include "io/scratch_folder.h"
#include "quant/recipe.h"

namespace octet {
namespace {

using testing::HasSubstr;

class RecipeFileTest : public testing::Test {
 protected:
  Result<RecipeRun> Plan(const std::string& text, const Json& options = Json(),
                         Family family = Family::kMamba2) {
    return PlanRecipeNamed(scratch_.Write("mine.json", text), options, family);
  }
  ScratchFolder scratch_;
};

TEST_F(RecipeFileTest, StartsFromANamedRecipe) {
  const Result<RecipeRun> run =
      Plan(R"({"recipe": "ssdi8-plus-w4a8", "options": {"group": 64, "state": "i8"},
               "weights": [{"tensors": "out_proj", "layers": "1", "bits": 8, "scale": "row"}]})");
  ASSERT_TRUE(run.ok()) << run.status().message();
  EXPECT_EQ(run->name, "mine.json");
  Json options = Json::MakeObject();
  options.Set("group", 64);
  options.Set("state", "i8");
  const RecipeRun base = *PlanRecipeNamed("ssdi8-plus-w4a8", options, Family::kMamba2);
  QuantPlan want = base.plan;
  want.weights.push_back(
      {.tensors = "out_proj", .layers = "1", .bits = 8, .scale = WeightScale::kRow});
  EXPECT_EQ(run->plan, want);
  EXPECT_EQ(run->options, base.options);
}

TEST_F(RecipeFileTest, OptionsOfTheCommandLineGoFirst) {
  Json given = Json::MakeObject();
  given.Set("state", "i16");
  const Result<RecipeRun> run =
      Plan(R"({"recipe": "absmax", "options": {"state": "i8"}})", given, Family::kMamba);
  ASSERT_TRUE(run.ok()) << run.status().message();
  EXPECT_EQ(run->plan.state, "i16");
  EXPECT_THAT(Plan(R"({"recipe": "absmax", "state": "i8"})", given).status().message(),
              HasSubstr("sets state itself"));
}

TEST_F(RecipeFileTest, WithoutARecipeEverythingStaysInFloat) {
  const Result<RecipeRun> run = Plan(R"({"weights": [{"tensors": "in_proj"}]})");
  ASSERT_TRUE(run.ok()) << run.status().message();
  QuantPlan want;
  want.weights = {{.tensors = "in_proj"}};
  EXPECT_EQ(run->plan, want);
  EXPECT_THAT(Plan(R"({"options": {"state": "i8"}})").status().message(),
              HasSubstr("no member recipe"));
}

TEST_F(RecipeFileTest, RulesForALayerChangeThatLayer) {
  const BlockSizes s;
  const Result<RecipeRun> run = Plan(R"({"recipe": "w8a8-dynamic",
               "sites": [{"sites": "y_norm", "layers": "1", "codec": "float"},
                         {"sites": "z", "layers": "0", "granularity": "token"}],
               "weights": [{"tensors": "out_proj", "layers": "1", "bits": 32},
                           {"tensors": "in_proj", "layers": "0", "bits": 4, "group": 32}]})");
  ASSERT_TRUE(run.ok()) << run.status().message();
  ThreadPool pool(1);
  const Result<QuantizedModel> q =
      Quantize(*run, MakeBlocks(s), MakeBlockWeights(s, 3), {}, Json(), &pool, {});
  ASSERT_TRUE(q.ok()) << q.status().message();
  const auto dtype = [&](int64_t layer, const char* tensor) {
    return q->weights.Find(LayerTensor(layer, tensor))->dtype;
  };
  EXPECT_EQ(dtype(0, "mixer.in_proj.weight"), DType::kI4);
  EXPECT_EQ(dtype(0, "mixer.out_proj.weight"), DType::kI8);
  EXPECT_EQ(dtype(1, "mixer.in_proj.weight"), DType::kI8);
  EXPECT_EQ(dtype(1, "mixer.out_proj.weight"), DType::kF32);
  std::vector<std::string> encoded;
  for (const auto& [site, e] : q->graph.encodings) {
    if (e.quantized()) encoded.push_back(site);
  }
  EXPECT_THAT(encoded, testing::UnorderedElementsAre("layers.0.u_norm", "layers.0.y_norm",
                                                     "layers.0.z", "layers.1.u_norm"));
  EXPECT_EQ(*q->config.Find("plan"), ToJson(run->plan));
}

TEST_F(RecipeFileTest, ErrorsNameTheFileAndTheMember) {
  const auto error = [&](const std::string& text) {
    const Status s = Plan(text).status();
    EXPECT_FALSE(s.ok()) << text;
    EXPECT_THAT(s.message(), HasSubstr("mine.json")) << text;
    return s.message();
  };
  EXPECT_THAT(error(R"({"recipe": "absmax", "bits": 4})"), HasSubstr("unknown member bits"));
  EXPECT_THAT(error(R"({"recipe": "gptq9"})"), HasSubstr("unknown recipe gptq9"));
  EXPECT_THAT(error(R"({"recipe": 3})"), HasSubstr("recipe"));
  EXPECT_THAT(error(R"({"recipe": "absmax", "options": 3})"), HasSubstr("options"));
  EXPECT_THAT(error(R"({"recipe": "absmax", "options": {"states": "i8"}})"), HasSubstr("states"));
  EXPECT_THAT(error(R"({"recipe": "quamba"})"), HasSubstr("Mamba-1"));
  error("[1]");
  error("{");
  const Status missing =
      PlanRecipeNamed(scratch_.At("none.json"), Json(), Family::kMamba2).status();
  EXPECT_EQ(missing.code(), Code::kNotFound);
  EXPECT_THAT(missing.message(), HasSubstr("none.json"));
}

}  // namespace
}  // namespace octet
