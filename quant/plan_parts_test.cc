// Contracts of plan parts:
//  1. OnlySsm keeps the rules between the linears and drops those of matrices and their inputs;
//     OnlyLinears the other way round, with a float Ssd and an fp32 state.
//  2. Both keep what changes no function: rotation, smoothing, sorted heads, mean correction.
//  3. A fork that a linear reads counts as its input; other forks do not.
//  4. QuantizesSomething tells whether a part is left.
#include "quant/plan_parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quant/recipe.h"

namespace octet {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

QuantPlan PlanOf(const char* recipe, Family family) {
  const auto run = PlanRecipeNamed(recipe, Json(), family);
  EXPECT_TRUE(run.ok()) << run.status().message();
  return run.ok() ? run->plan : QuantPlan();
}

std::vector<std::string> SitesOf(const QuantPlan& plan) {
  std::vector<std::string> names;
  for (const SiteRule& r : plan.sites) {
    names.push_back(r.sites);
  }
  return names;
}

std::vector<std::string> TensorsOf(const QuantPlan& plan) {
  std::vector<std::string> names;
  for (const WeightRule& r : plan.weights) {
    names.push_back(r.tensors);
  }
  return names;
}

TEST(PlanPartsTest, SplitAnInt8Ssd) {
  const QuantPlan whole = PlanOf("ssdi8-w8a8", Family::kMamba2);
  const QuantPlan ssm = OnlySsm(whole), linears = OnlyLinears(whole);
  EXPECT_THAT(SitesOf(ssm), ElementsAre("B", "C", "ssd.x_scaled", "ssd.score", "ssd.state"));
  EXPECT_THAT(TensorsOf(ssm), ElementsAre("A_log", "D"));
  EXPECT_EQ(ssm.ssd, SsdMode::kInt8GateQ7);
  EXPECT_THAT(SitesOf(linears), ElementsAre("linear-inputs"));
  EXPECT_THAT(TensorsOf(linears), ElementsAre("embedding", "head", "linears"));
  EXPECT_EQ(linears.ssd, SsdMode::kFloat);
  for (const QuantPlan& part : {ssm, linears}) {
    EXPECT_EQ(part.rotation, whole.rotation);
    EXPECT_EQ(part.chunk_size, whole.chunk_size);
    EXPECT_EQ(part.mean_correction, whole.mean_correction);
  }
  EXPECT_EQ(OnlyLinears(PlanOf("smoothquant", Family::kMamba2)).smooth, 0.5);
  EXPECT_TRUE(OnlySsm(PlanOf("quamba2-w8a8", Family::kMamba2)).reorder_heads);
}

TEST(PlanPartsTest, TheStateBelongsToTheSsm) {
  const QuantPlan whole = PlanOf("quamba", Family::kMamba);
  EXPECT_EQ(whole.state, "i8s");
  EXPECT_EQ(OnlySsm(whole).state, "i8s");
  const QuantPlan linears = OnlyLinears(whole);
  EXPECT_EQ(linears.state, "f32");
  EXPECT_EQ(linears.state_scales, QuantPlan().state_scales);
  EXPECT_THAT(SitesOf(linears), ElementsAre("linear-inputs"));
}

TEST(PlanPartsTest, AForkBelongsToItsReader) {
  const QuantPlan whole = PlanOf("quamba-se", Family::kMamba);
  const std::vector<std::string> ssm = SitesOf(OnlySsm(whole));
  const std::vector<std::string> linears = SitesOf(OnlyLinears(whole));
  EXPECT_THAT(ssm, testing::Contains("x_scan"));
  EXPECT_THAT(ssm, testing::Not(testing::Contains("x_proj_in")));
  EXPECT_THAT(linears, ElementsAre("linear-inputs", "x_proj_in"));
}

TEST(PlanPartsTest, APatternThatMatchesAMatrixIsOne) {
  QuantPlan plan;
  plan.weights = {{.tensors = "*_proj", .bits = 4}, {.tensors = "conv1d.*", .bits = 8}};
  EXPECT_THAT(TensorsOf(OnlyLinears(plan)), ElementsAre("*_proj"));
  EXPECT_THAT(TensorsOf(OnlySsm(plan)), ElementsAre("conv1d.*"));
}

TEST(PlanPartsTest, TellsWhatIsLeft) {
  EXPECT_FALSE(QuantizesSomething(QuantPlan()));
  const QuantPlan weights = PlanOf("w8a16", Family::kMamba);
  EXPECT_FALSE(QuantizesSomething(OnlySsm(weights)));
  EXPECT_TRUE(QuantizesSomething(OnlyLinears(weights)));
  const QuantPlan dynamic = PlanOf("w8a8-dynamic", Family::kMamba2);
  EXPECT_EQ(OnlyLinears(dynamic), dynamic) << "nothing else is quantized";
  QuantPlan state;
  state.state = "i8";
  EXPECT_TRUE(QuantizesSomething(state));
  QuantPlan floats;
  floats.sites = {{.sites = "x", .codec = "float"}};
  floats.weights = {{.tensors = "in_proj", .bits = 32}};
  EXPECT_FALSE(QuantizesSomething(floats));
}

}  // namespace
}  // namespace octet
