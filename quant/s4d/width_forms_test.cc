// Contracts of what a search for widths measures:
//  1. Ideal bytes are those of arXiv:2506.12480, and of a tensor follow from its width alone.
//  2. Mean KL is that of the simulation, 0 for a plan without bits, and capped where logits are not
//     finite.
//  3. A form of a tensor has the bytes of the base with that width, and the KL of a plan that
//     quantizes nothing else; what the base keeps in float has no forms.
//  4. Widths that the accounting refuses are left out, and so are those beyond the list's limits;
//     the base's own is there in any case.
#include "quant/s4d/width_forms.h"

#include <algorithm>
#include <limits>

#include <gmock/gmock.h>

#include "base/logits.h"
#include "quant/s4d/recipes.h"
#include "quant/s4d/simulate.h"
#include "quant/s4d/small_classifier_testing.h"

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The paper's savings, 81.19 % with 16 heads and 82.78 % with 64, follow from these bytes. It does
// not count frames and mean.
TEST(IdealSizes, AreThoseOfThePaper) {
  const struct {
    int64_t heads, bytes, float_bytes;
  } kCases[] = {{16, 3704, 19688}, {64, 17768, 103208}};
  for (const auto& c : kCases) {
    const S4dBlockSizes sizes{1, c.heads, 10, 1, 32, false, false, false};
    const Graph graph = MakeS4dBlocks(sizes);
    const WeightMap weights = MakeS4dBlockWeights(sizes, 1);
    const auto counted = [&](const S4dPlan& plan) {
      const Result<S4dSizes> s = IdealSizes(graph, weights, plan);
      EXPECT_TRUE(s.ok()) << s.status().message();
      return s->total() - s->tensors.find("frames")->second - s->tensors.find("mean")->second;
    };
    EXPECT_EQ(counted(*LoadS4dRecipe("paper-w4a6")), c.bytes);
    EXPECT_EQ(counted({}), c.float_bytes);
  }
}

TEST(IdealSizes, FollowFromTheWidth) {
  const SmallClassifier model;
  const S4dPlan base = UniformPlan(5);
  const S4dSizes sizes = *IdealSizes(model.graph, model.weights, base);
  EXPECT_EQ(sizes.tensors.find("layers.0.A.phase")->second, 30);  // 8 heads, 6 modes, 5 bits
  EXPECT_EQ(sizes.tensors.find("layers.1.x")->second, 60);
  EXPECT_EQ(sizes.tensors.find("logits")->second, 25);
  EXPECT_EQ(sizes.rest, 4 * (8 + 2 * 16 + 5));  // biases
  EXPECT_EQ(sizes.ram, 2 * (60 + 4 * 5) + 1 + 5);
  for (const std::string& tensor : S4dTensors(model.graph)) {
    S4dPlan plan = base;
    plan.widths[tensor] = 10;
    const S4dSizes other = *IdealSizes(model.graph, model.weights, plan);
    const int64_t before = sizes.tensors.find(tensor)->second;
    EXPECT_GE(other.tensors.find(tensor)->second, 2 * before - 1) << tensor;
    EXPECT_EQ(other.total() - sizes.total(), other.tensors.find(tensor)->second - before) << tensor;
  }
}

TEST(S4dMeanKlTest, IsThatOfTheSimulation) {
  const SmallClassifier model;
  ThreadPool pool(2);
  const S4dMeanKl kl = model.MeanKl(&pool);
  EXPECT_EQ(*kl.Of({}), 0.0);
  const S4dPlan plan = UniformPlan(4);
  const auto reference = S4dSimulation::Create(model.graph, model.weights, {}, {});
  const auto quantized = S4dSimulation::Create(model.graph, model.weights, plan, model.ranges);
  double sum = 0;
  for (int64_t i = 0; i < 10; ++i) {
    sum += KlDivergence(*reference->Run(RandomSequence(i)), *quantized->Run(RandomSequence(i)));
  }
  EXPECT_GT(sum, 0);
  EXPECT_NEAR(*kl.Of(plan), sum / 10, 1e-12 * sum);
  EXPECT_THAT(std::string(S4dMeanKl::Create(model.graph, model.weights, model.ranges, 0,
                                            RandomSequence, &pool)
                              .status()
                              .message()),
              HasSubstr("no sequence"));
}

TEST(S4dMeanKlTest, CapsWhatIsNotFinite) {
  const SmallClassifier model;
  ThreadPool pool(1);
  const auto broken = [](int64_t i) {
    std::vector<float> frames = RandomSequence(i);
    if (i == 1) frames[3] = std::numeric_limits<float>::max();
    return frames;
  };
  const auto kl = S4dMeanKl::Create(model.graph, model.weights, model.ranges, 4, broken, &pool);
  ASSERT_TRUE(kl.ok()) << kl.status().message();
  EXPECT_EQ(*kl->Of({}), kMostKl / 4);
}

class WidthFormsTest : public testing::Test {
 protected:
  std::vector<S4dTensorForms> Measure(const S4dPlan& base, const S4dWidthList& list) {
    const S4dMeanKl kl = model_.MeanKl(&pool_);
    auto forms = MeasureS4dForms(base, model_.graph, list, accounting_, kl, {});
    EXPECT_TRUE(forms.ok()) << forms.status().message();
    return *std::move(forms);
  }
  static const S4dTensorForms& Of(const std::vector<S4dTensorForms>& all,
                                  const std::string& tensor) {
    return *std::ranges::find(all, tensor, &S4dTensorForms::tensor);
  }
  static std::vector<int> BitsIn(const S4dTensorForms& t) {
    std::vector<int> bits;
    for (const S4dForm& f : t.forms) {
      bits.push_back(f.bits);
    }
    return bits;
  }

  SmallClassifier model_;
  ThreadPool pool_{2};
  S4dAccounting accounting_ = [this](const S4dPlan& plan) {
    return IdealSizes(model_.graph, model_.weights, plan);
  };
};

TEST_F(WidthFormsTest, AreMeasuredAlone) {
  S4dPlan base = UniformPlan(6);
  base.piecewise_gelu = true;
  base.x.rounding = StateRounding::kStochastic;
  base.widths["layers.1.y"] = 0;
  const std::vector<S4dTensorForms> all = Measure(base, {{3, 8}, 8, 4});
  EXPECT_EQ(all.size(), S4dTensors(model_.graph).size() - 1);
  const S4dMeanKl kl = model_.MeanKl(&pool_);
  const auto expect = [&](const std::string& tensor, const S4dPlan& alone, int64_t bytes) {
    const S4dForm& form = Of(all, tensor).forms.back();
    EXPECT_EQ(form.bits, 8) << tensor;
    EXPECT_EQ(form.bytes, bytes) << tensor;
    EXPECT_EQ(form.kl, *kl.Of(alone)) << tensor;
    EXPECT_GT(form.kl, 0) << tensor;
    EXPECT_LT(form.kl, Of(all, tensor).forms.front().kl) << tensor;
    EXPECT_EQ(Of(all, tensor).forms[Of(all, tensor).base].bits, 6) << tensor;
  };
  S4dPlan x;
  x.x = base.x;
  x.x.code.bits = 0;
  x.widths["layers.0.x"] = 8;
  expect("layers.0.x", x, 96);
  S4dPlan u;
  u.widths["layers.1.u"] = 8;
  expect("layers.1.u", u, 8);
  S4dPlan z;
  z.linears.grain = S4dGrain::kHead;
  z.widths["layers.1.z"] = 8;
  expect("layers.1.z", z, 128);
  S4dPlan phase;
  phase.A = {PoleCodec::kLogPolar, 0, 0, S4dGrain::kHead, false};
  phase.widths = {{"layers.0.A", 16}, {"layers.0.A.phase", 8}};
  expect("layers.0.A.phase", phase, 48);
}

TEST_F(WidthFormsTest, KeepToTheLimits) {
  accounting_ = [this](const S4dPlan& plan) -> Result<S4dSizes> {
    if (BitsOf(plan, "logits") == 4) return Unsupported("no 4 bits");
    return IdealSizes(model_.graph, model_.weights, plan);
  };
  const std::vector<S4dTensorForms> all = Measure(UniformPlan(9), {{2, 3, 4, 7, 12}, 7, 4});
  EXPECT_THAT(BitsIn(Of(all, "layers.0.x")), ElementsAre(4, 7, 9, 12));
  EXPECT_THAT(BitsIn(Of(all, "layers.0.C")), ElementsAre(2, 3, 4, 7, 9, 12));
  EXPECT_THAT(BitsIn(Of(all, "layers.0.A.phase")), ElementsAre(2, 3, 4, 7, 9, 12));
  EXPECT_THAT(BitsIn(Of(all, "layers.0.z")), ElementsAre(2, 3, 4, 7, 9));
  EXPECT_THAT(BitsIn(Of(all, "layers.1.gelu")), ElementsAre(2, 3, 4, 7, 9));
  EXPECT_THAT(BitsIn(Of(all, "logits")), ElementsAre(2, 3, 7, 9));
}

TEST_F(WidthFormsTest, RefusesWhatHasNoForms) {
  const S4dMeanKl kl = model_.MeanKl(&pool_);
  const auto error = [&](const S4dPlan& base, const S4dWidthList& list) {
    return std::string(
        MeasureS4dForms(base, model_.graph, list, accounting_, kl, {}).status().message());
  };
  EXPECT_THAT(error(UniformPlan(6), {{}, 8, 4}), HasSubstr("no width"));
  EXPECT_THAT(error(UniformPlan(6), {{1}, 8, 4}), HasSubstr("1 bits"));
  EXPECT_THAT(error(UniformPlan(1), {}), HasSubstr("B: 1 bits"));
  accounting_ = [](const S4dPlan&) -> Result<S4dSizes> { return Unsupported("not at all"); };
  EXPECT_EQ(error(UniformPlan(6), {}), "not at all");
}

}  // namespace
}  // namespace octet
