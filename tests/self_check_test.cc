// Contracts of the self-check:
//  1. A sound model has no failures; a model with a damaged scale is reported.
//  2. A difference between the integer and the simulated run is counted.
//  3. KL, agreement and saturation are what their definitions say.
//  4. Failures() and SaturatedSites() have the documented thresholds.
#include "quant/self_check.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/models.h"

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Checked {
  RandomModel model;
  QuantizedModel q;
};

// A model sure of its predictions, so that a broken one is far from it.
Checked MakeChecked(const char* recipe) {
  Mamba2Config c = SmallConfig(2);
  c.tied = false;
  Checked k{MakeRandomModel(c, 17), {}};
  std::vector<float> head = ToF32(*k.model.weights.Find("lm_head.weight"));
  for (float& v : head) {
    v *= 4;
  }
  k.model.weights.Set("lm_head.weight", MakeWeight(head, {c.vocab_rows, c.d_model}));
  TokenDataset data;
  for (uint64_t i = 0; i < 4; ++i) {
    data.documents.push_back(RandomTokens(120, c.vocab_rows, 60 + i));
  }
  ThreadPool pool(2);
  auto q = Quantize(*PlanRecipeNamed(recipe, Json(), FamilyOf(k.model.graph)), k.model.graph,
                    k.model.weights, data, Json(), &pool, {});
  EXPECT_TRUE(q.ok()) << q.status().message();
  if (q.ok()) k.q = *std::move(q);
  return k;
}

SelfCheckReport Check(const Checked& k, size_t tokens = 80) {
  ThreadPool pool(2);
  const auto report =
      SelfCheck(k.model.graph, k.model.weights, k.q,
                RandomTokens(static_cast<int64_t>(tokens), k.q.graph.vocab_rows, 5), &pool, {});
  EXPECT_TRUE(report.ok()) << report.status().message();
  return report.ok() ? *report : SelfCheckReport();
}

void ScaleWeight(Checked* k, const std::string& name, float factor) {
  Weight w = *k->q.weights.Find(name);
  auto scales = std::make_shared<std::vector<float>>(*w.row_scale);
  for (float& s : *scales) {
    s *= factor;
  }
  w.row_scale = std::move(scales);
  k->q.weights.Set(name, w);
}

TEST(SelfCheck, SoundModelsPass) {
  for (const char* recipe : {"w8a8-dynamic", "ssdi8-w8a8", "ssdi8-plus-w4a8"}) {
    const SelfCheckReport r = Check(MakeChecked(recipe));
    EXPECT_THAT(r.Failures(), IsEmpty()) << recipe;
    EXPECT_EQ(r.simulated_mismatches, 0);
    EXPECT_GT(r.simulated_tokens, 20);
    EXPECT_EQ(r.tokens, 80);
    EXPECT_GT(r.kl_mean, 0);
    EXPECT_LT(r.kl_mean, 0.5) << recipe;
    EXPECT_GT(r.top1_agreement, 0.5) << recipe;
    EXPECT_TRUE(r.finite);
  }
}

TEST(SelfCheck, ADamagedScaleIsReported) {
  Checked k = MakeChecked("w8a8-dynamic");
  const SelfCheckReport sound = Check(k);
  ScaleWeight(&k, "backbone.layers.1.mixer.out_proj.weight", 64);  // a power of two: still 12 bits
  const SelfCheckReport r = Check(k);
  EXPECT_EQ(r.simulated_mismatches, 0) << "both runs are wrong alike";
  EXPECT_THAT(r.Failures(), ElementsAre(HasSubstr("KL")));
  EXPECT_GT(r.kl_mean, 10 * sound.kl_mean);
  EXPECT_LT(r.top1_agreement, sound.top1_agreement);
  ScaleWeight(&k, "backbone.layers.1.mixer.out_proj.weight", 1e38f);
  const SelfCheckReport infinite = Check(k);
  EXPECT_FALSE(infinite.finite);
  EXPECT_THAT(infinite.Failures(), testing::Contains(HasSubstr("not finite")));
}

TEST(SelfCheck, AMismatchIsCounted) {
  Checked k = MakeChecked("w8a8-dynamic");
  // Scales of 24 bits are what the format forbids: floats no longer hold the products exactly. In
  // the last matrix, behind which no code hides the difference.
  ScaleWeight(&k, "backbone.layers.1.mixer.out_proj.weight", 1.0f / 3);
  const SelfCheckReport r = Check(k);
  EXPECT_GT(r.simulated_mismatches, 0);
  EXPECT_THAT(r.Failures(), testing::Contains(HasSubstr("simulated")));
}

TEST(SelfCheck, NumbersFollowTheirDefinitions) {
  Checked k = MakeChecked("w8a8-dynamic");
  k.q.graph = k.model.graph;  // the float model against itself
  k.q.weights = k.model.weights;
  const SelfCheckReport same = Check(k);
  EXPECT_EQ(same.kl_mean, 0);
  EXPECT_EQ(same.top1_agreement, 1);
  // A head of zeros knows nothing: its KL is that of the uniform distribution.
  const Weight head = *k.q.weights.Find("lm_head.weight");
  k.q.weights.Set("lm_head.weight",
                  MakeWeight(std::vector<float>(static_cast<size_t>(head.count())), head.shape));
  const SelfCheckReport none = Check(k);
  EXPECT_NEAR(none.kl_mean, none.uniform_kl, 1e-5 * none.uniform_kl);
  EXPECT_GT(none.uniform_kl, 0.5);
  EXPECT_LT(none.uniform_kl, std::log(61.0));
  EXPECT_FALSE(none.Failures().empty());
}

TEST(SelfCheck, SaturationIsCountedWhereItHappens) {
  Checked k = MakeChecked("had-s8");
  EXPECT_THAT(Check(k).SaturatedSites(), IsEmpty());
  k.q.graph.encodings["layers.1.u_norm"].scales[0] /= 8;
  const SelfCheckReport r = Check(k);
  EXPECT_THAT(r.SaturatedSites(), ElementsAre("layers.1.u_norm"));
  EXPECT_GT(r.saturation.at("layers.1.u_norm").saturated,
            r.saturation.at("layers.1.u_norm").values / 20);
  EXPECT_EQ(r.saturation.at("layers.1.u_norm").values, r.simulated_tokens * 48);
  EXPECT_NE(r.ToJson().Find("saturation")->Find("layers.1.u_norm"), nullptr);
}

TEST(SelfCheck, NeedsTwoTokens) {
  const Checked k = MakeChecked("w8a8-dynamic");
  ThreadPool pool(1);
  for (const std::vector<TokenId>& text : {std::vector<TokenId>{}, {3}}) {
    EXPECT_EQ(SelfCheck(k.model.graph, k.model.weights, k.q, text, &pool, {}).status().code(),
              Code::kInvalidArgument);
  }
  EXPECT_EQ(Check(k, 2).tokens, 2);
}

TEST(Report, FailureThresholds) {
  SelfCheckReport r;
  r.kl_mean = 1;
  r.uniform_kl = 2;
  EXPECT_THAT(r.Failures(), IsEmpty());
  r.kl_mean = 1.0001;
  r.uniform_kl = 10;
  EXPECT_THAT(r.Failures(), ElementsAre(HasSubstr("KL")));
  r.kl_mean = 0.5;
  r.uniform_kl = 0.99;
  EXPECT_THAT(r.Failures(), ElementsAre(HasSubstr("KL")));
  r.uniform_kl = 1;
  EXPECT_THAT(r.Failures(), IsEmpty());
  r.simulated_mismatches = 1;
  EXPECT_THAT(r.Failures(), ElementsAre(HasSubstr("1 logits")));
  r.simulated_mismatches = 0;
  r.finite = false;
  r.kl_mean = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(r.Failures().size(), 2u) << "a KL that is not a number is no small one";
  r.saturation = {{"a", {1000, 1}}, {"b", {1000, 2}}, {"c", {0, 0}}, {"d", {999, 1}}};
  EXPECT_THAT(r.SaturatedSites(), ElementsAre("b", "d"));
}

}  // namespace
}  // namespace octet
