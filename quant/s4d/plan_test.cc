// Contracts:
//  1. ToJson and ApplyJson are inverse for every member; unknown members, wrong types and values
//     are refused, naming the place.
//  2. A width of its own reaches the tensor of that name and no other; S4dTensors lists all names.
//  3. A width for a tensor that the model lacks, or that its kind does not allow, is refused.
#include "quant/s4d/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/s4d_block_testing.h"

namespace octet {
namespace {

using testing::Contains;
using testing::HasSubstr;

S4dPlan Everything() {
  S4dPlan p;
  p.A = {PoleCodec::kLogPolar, 4, 8, S4dGrain::kTensor, false};
  p.B = {4, S4dGrain::kMode, true};
  p.C = {5, S4dGrain::kTensor, true};
  p.D = {6, S4dGrain::kHead, true};
  p.linears = {3, S4dGrain::kTensor, true};
  p.x.code = {8, S4dGrain::kMode, true};
  p.x.rounding = StateRounding::kStochastic;
  p.x.seed = 77;
  p.x.shared_noise = false;
  p.x.limit = 50;
  p.activations = {6, true, true, true};
  p.piecewise_gelu = true;
  p.widths = {{"layers.1.x", 10}, {"logits", 8}};
  return p;
}

std::string Refusal(const char* json) {
  S4dPlan p;
  return std::string(ApplyJson(*Json::Parse(json), &p).message());
}

TEST(S4dPlanJson, GoesThereAndBack) {
  S4dPlan back;
  ASSERT_TRUE(ApplyJson(ToJson(Everything()), &back).ok());
  EXPECT_EQ(back, Everything());
  EXPECT_EQ(ToJson(back).Dump(-1), ToJson(Everything()).Dump(-1));
  ASSERT_TRUE(ApplyJson(ToJson({}), &back).ok()) << "widths are added, all else replaced";
  EXPECT_EQ(back.A, S4dPoles());
}

TEST(S4dPlanJson, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(Refusal(R"({"a": {}})"), HasSubstr("unknown member a (known: A, B"));
  EXPECT_THAT(Refusal(R"({"x": {"codes": 3}})"),
              testing::AllOf(HasSubstr("x"), HasSubstr("codes")));
  EXPECT_THAT(Refusal(R"({"B": {"bits": 17}})"), HasSubstr("between 0 and 16"));
  EXPECT_THAT(Refusal(R"({"B": {"bits": 1}})"), HasSubstr("B: 1 bits"));
  EXPECT_THAT(Refusal(R"({"B": 4})"), HasSubstr("must be a JSON object"));
  EXPECT_THAT(Refusal(R"({"x": {"rounding": "up"}})"), HasSubstr("one of nearest, stochastic"));
  EXPECT_THAT(Refusal(R"({"widths": {"logits": "8"}})"), HasSubstr("widths of logits is \"8\""));
  EXPECT_THAT(Refusal(R"({"widths": {"logits": 1}})"), HasSubstr("widths of logits"));
}

TEST(S4dPlanWidths, ReachTheirTensorOnly) {
  const Graph graph = MakeS4dBlocks({});
  S4dPlan base;
  base.A = {PoleCodec::kLogPolar, 4, 8};
  base.B.bits = base.C.bits = base.D.bits = base.linears.bits = 5;
  base.x.code = {8, S4dGrain::kHead, true};
  base.activations.bits = 6;
  const std::vector<std::string> tensors = S4dTensors(graph);
  EXPECT_THAT(tensors, Contains("frames"));
  EXPECT_THAT(tensors, Contains("layers.1.z"));
  EXPECT_THAT(tensors, Contains("layers.0.A.phase"));
  for (const std::string& tensor : tensors) {
    S4dPlan plan = base;
    plan.widths[tensor] = 13;
    ASSERT_TRUE(Check(plan, graph).ok()) << Check(plan, graph).message();
    for (const std::string& other : tensors) {
      EXPECT_EQ(BitsOf(plan, other), other == tensor ? 13 : BitsOf(base, other)) << other;
    }
  }
  S4dPlan plan = base;
  plan.widths = {{"layers.1.x", 12}, {"layers.1.A.phase", 9}, {"layers.0.C", 2}};
  EXPECT_EQ(PlanOfLayer(plan, 1).x.code.bits, 12);
  EXPECT_EQ(PlanOfLayer(plan, 1).A.phase_bits, 9);
  EXPECT_EQ(PlanOfLayer(plan, 1).C.bits, 5);
  EXPECT_EQ(PlanOfLayer(plan, 0).C.bits, 2);
  EXPECT_TRUE(PlanOfLayer(plan, 0).widths.empty());
}

TEST(S4dPlanWidths, AreCheckedAgainstTheModel) {
  const Graph graph = MakeS4dBlocks({});
  S4dPlan plan;
  plan.widths["layers.7.x"] = 8;
  EXPECT_TRUE(Check(plan).ok());
  EXPECT_THAT(std::string(Check(plan, graph).message()), HasSubstr("no tensor layers.7.x (it has"));
  plan.widths = {{"layers.0.A.phase", 8}};
  EXPECT_THAT(std::string(Check(plan, graph).message()), HasSubstr("widths of layer 0: A: polar"));
}

}  // namespace
}  // namespace octet
