// Contracts:
//  1. An integer model is the simulation of the same plan: the same codes of weights, and logits
//  that
//     differ by less than the plan's own distance from float; the same class on most sequences.
//  2. What integers do not do is kUnsupported with the site or the member of the plan.
//  3. Integers that could overflow are kInvalidArgument with site, head and mode.
#include "edge/lower.h"

#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>

#include "edge/run.h"
#include "edge/sites.h"
#include "edge/small_model_testing.h"
#include "quant/s4d/simulate.h"
#include "quant/s4d/weights.h"

namespace octet {
namespace {

using testing::HasSubstr;

// The root of the mean square difference of sets of logits.
class Distance {
 public:
  void Add(const std::vector<float>& a, const std::vector<float>& b) {
    for (size_t i = 0; i < a.size(); ++i) {
      const double difference = static_cast<double>(a[i]) - b[i];
      square_ += difference * difference;
      ++count_;
    }
  }
  double rms() const { return std::sqrt(square_ / static_cast<double>(count_)); }

 private:
  double square_ = 0;
  int64_t count_ = 0;
};

// Both runs are the float model with the rounding errors of the same codes. Their arithmetic
// differs far below the codes, so that a value is rounded apart only where it is close to a tie:
// rarer than the errors themselves, and the rarer the finer the codes. Unrelated draws of the same
// errors would be sqrt(2) times as far from each other as from float.
TEST(LowerS4d, IsCloseToTheSimulation) {
  for (const auto& [slow, norms] : {std::pair(false, false), {true, false}, {false, true}}) {
    SCOPED_TRACE(slow ? "slow" : norms ? "with norms" : "");
    const SmallModel m = MakeSmallModel({2, 8, 5, 2, 6, true, norms, false}, 11, slow);
    const Result<S4dSimulation> exact = S4dSimulation::Create(m.graph, m.weights, {}, m.ranges);
    ASSERT_TRUE(exact.ok());
    for (const auto& [name, plan] : VariousPlans()) {
      SCOPED_TRACE(name);
      const Result<S4dSimulation> simulation =
          S4dSimulation::Create(m.graph, m.weights, plan, m.ranges);
      const Result<IntegerS4d> model = LowerS4d(m.graph, m.weights, plan, m.ranges);
      ASSERT_TRUE(simulation.ok());
      ASSERT_TRUE(model.ok()) << model.status().message();
      Distance apart, from_float;
      int same = 0;
      constexpr int kSequences = 30;
      for (uint64_t seed = 0; seed < kSequences; ++seed) {
        const std::vector<float> frames = RandomFrames(60, m.inputs, 500 + seed);
        const std::vector<float> simulated = *simulation->Run(frames);
        const std::vector<float> got = *RunFrames(*model, frames);
        apart.Add(got, simulated);
        from_float.Add(simulated, *exact->Run(frames));
        const auto best = [](const auto& v) { return std::ranges::max_element(v) - v.begin(); };
        same += best(got) == best(simulated) ? 1 : 0;
      }
      EXPECT_LT(apart.rms(), from_float.rms());
      if (plan.activations.bits == 8 && plan.widths.empty()) {
        EXPECT_LT(apart.rms(), from_float.rms() / 4);
      }
      EXPECT_GE(same, kSequences * 9 / 10);
    }
  }
}

// The codes of a linear are those that the simulation multiplies with.
TEST(LowerS4d, WeightsAreThoseOfTheSimulation) {
  const SmallModel m = MakeSmallModel(VariousSizes()[1], 2);
  for (const auto& [name, plan] : VariousPlans()) {
    const Result<S4dWeights> decoded = QuantizeS4dWeights(m.graph, m.weights, plan);
    const Result<IntegerS4d> model = LowerS4d(m.graph, m.weights, plan, m.ranges);
    ASSERT_TRUE(decoded.ok() && model.ok());
    const Node& z = m.graph.nodes[static_cast<size_t>(m.graph.FindSite("layers.1.z"))];
    const Result<MatrixCodes> codes = CodesOfMatrix(plan, m.weights, z);
    ASSERT_TRUE(codes.ok());
    const std::vector<float> want = ToF32(*decoded->weights.Find(z.weights[0]));
    const IntegerLayer& l = model->layers[1];
    for (int64_t i = 0; i < 10; ++i) {
      const IntegerLinear& half = i < 5 ? l.value : l.gate;
      const bool one = codes->codes.size() == 1;
      const AffineCode& code = codes->codes[one ? 0 : static_cast<size_t>(i)];
      for (int64_t j = 0; j < 5; ++j) {
        const int32_t zero = half.zero[one ? 0 : static_cast<size_t>(i % 5)];
        EXPECT_EQ(static_cast<float>(half.Code(i % 5, j) - zero) * code.scale,
                  want[static_cast<size_t>(5 * i + j)])
            << name;
      }
    }
  }
}

class RefusalTest : public testing::Test {
 protected:
  Status Lower(const S4dPlan& plan) const {
    return LowerS4d(m_.graph, m_.weights, plan, m_.ranges).status();
  }
  void ExpectUnsupported(const char* what, auto change) const {
    S4dPlan plan = EightBits(8);
    change(&plan);
    const Status s = Lower(plan);
    EXPECT_EQ(s.code(), Code::kUnsupported) << what;
    EXPECT_THAT(s.message(), HasSubstr(what));
  }
  SmallModel m_ = MakeSmallModel(VariousSizes()[1], 8);
};

TEST_F(RefusalTest, WhatIntegersDoNotDo) {
  ASSERT_TRUE(Lower(EightBits(8)).ok());
  ExpectUnsupported("float state", [](S4dPlan* p) { p->x.code.bits = 0; });
  ExpectUnsupported("asymmetric", [](S4dPlan* p) { p->x.code.symmetric = false; });
  ExpectUnsupported("three times", [](S4dPlan* p) { p->x.published = true; });
  ExpectUnsupported("limit", [](S4dPlan* p) { p->x.limit = 50; });
  ExpectUnsupported("feedback", [](S4dPlan* p) { p->x.rounding = StateRounding::kFeedback; });
  ExpectUnsupported("noise", [](S4dPlan* p) {
    p->x.rounding = StateRounding::kStochastic;
    p->x.shared_noise = false;
  });
  ExpectUnsupported("x: dynamic", [](S4dPlan* p) {
    p->x.code.grain = S4dGrain::kHead;
    p->x.dynamic = true;
  });
  ExpectUnsupported("activations: dynamic", [](S4dPlan* p) { p->activations.dynamic = true; });
  ExpectUnsupported("frames", [](S4dPlan* p) { p->activations.bits = 0; });
  ExpectUnsupported("not 9", [](S4dPlan* p) { p->activations.bits = 9; });
  ExpectUnsupported("encoder", [](S4dPlan* p) { p->linears.bits = 0; });
  ExpectUnsupported("not 16", [](S4dPlan* p) { p->linears.bits = 16; });
  for (const char* named : {"mean", "layers.1.gelu", "layers.0.u", "layers.1.z", "layers.1.x"}) {
    ExpectUnsupported(named, [&](S4dPlan* p) { p->widths[named] = 0; });
  }
}

TEST_F(RefusalTest, OtherGraphs) {
  S4dBlockSizes sizes = VariousSizes()[1];
  sizes.norms = true;
  m_ = MakeSmallModel(sizes, 8);
  EXPECT_TRUE(Lower(EightBits(8)).ok()) << "a norm after a block";
  sizes.pre_norm = true;
  m_ = MakeSmallModel(sizes, 8);
  const Status s = Lower(EightBits(8));
  EXPECT_EQ(s.code(), Code::kUnsupported);
  EXPECT_THAT(s.message(), HasSubstr("layers.0.u_norm"));
}

TEST_F(RefusalTest, SitesThatWereNotSeen) {
  m_.ranges.erase("layers.1.y");
  const Status s = Lower(EightBits(8));
  EXPECT_EQ(s.code(), Code::kInvalidArgument);
  EXPECT_THAT(s.message(), HasSubstr("layers.1.y:"));
}

// States so small that one input fills them many times over.
TEST_F(RefusalTest, StatesThatOverflow) {
  SeenRange tiny;
  tiny.Include(1e-12f);
  m_.ranges["layers.1.x"][3 * 2 + 1] = tiny;
  const Status s = Lower(EightBits(16));
  EXPECT_EQ(s.code(), Code::kInvalidArgument);
  EXPECT_THAT(s.message(), HasSubstr("layers.1.x, head 2, mode 1: one input moves"));
}

TEST_F(RefusalTest, LinearsThatOverflow) {
  std::vector<float> bias(10, 0.0f);
  bias[7] = 1e9f;
  m_.weights.Set("s4_layers.0.output_linear.0.bias", MakeWeight(bias, {10}));
  const Status s = Lower(EightBits(8));
  EXPECT_EQ(s.code(), Code::kInvalidArgument);
  EXPECT_THAT(s.message(), HasSubstr("layers.0.z, row 7"));
}

// A range of one head that its values exceed a million times.
TEST_F(RefusalTest, RangesThatAreTooSmall) {
  SeenRange tiny;
  tiny.Include(-1e-9f);
  tiny.Include(1e-9f);
  m_.ranges["layers.0.y"][4] = tiny;
  const Status s = Lower(EightBits(8));
  EXPECT_EQ(s.code(), Code::kInvalidArgument);
  EXPECT_THAT(s.message(), HasSubstr("layers.0.y, head 4"));
}

// What calibration has only seen as zeros is zero in both runs, and nothing divides by its scale.
TEST_F(RefusalTest, ZerosHaveNoScale) {
  SeenRange zero;
  zero.Include(0.0f);
  const std::vector<float> frames = RandomFrames(60, m_.inputs, 500);
  const auto apart = [&] {
    const Result<S4dSimulation> simulation =
        S4dSimulation::Create(m_.graph, m_.weights, EightBits(8), m_.ranges);
    const Result<IntegerS4d> model = LowerS4d(m_.graph, m_.weights, EightBits(8), m_.ranges);
    EXPECT_TRUE(simulation.ok() && model.ok()) << model.status().message();
    Distance distance;
    distance.Add(*RunFrames(*model, frames), *simulation->Run(frames));
    return distance.rms();
  };
  const S4dRanges seen = m_.ranges;
  for (const auto& [site, ranges] : seen) {
    SCOPED_TRACE(site);
    m_.ranges = seen;
    m_.ranges[site][0] = zero;
    EXPECT_LT(apart(), 0.003);
  }
  for (auto& [site, ranges] : m_.ranges) {
    std::ranges::fill(ranges, zero);
  }
  const Result<IntegerS4d> model = LowerS4d(m_.graph, m_.weights, EightBits(8), m_.ranges);
  ASSERT_TRUE(model.ok()) << model.status().message();
  const std::vector<float> bias = ToF32(*m_.weights.Find("decoder.bias"));
  const std::vector<float> logits = *RunFrames(*model, RandomFrames(5, m_.inputs, 1));
  for (size_t i = 0; i < logits.size(); ++i) {
    EXPECT_NEAR(logits[i], bias[i], 1e-6);
  }
}

}  // namespace
}  // namespace octet
