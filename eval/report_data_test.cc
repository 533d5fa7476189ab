// Contracts of eval/report_data.h:
// 1. SizeOf: embedding and head, matrices of blocks and the rest make up the stored tensors.
// 2. MeasureSites: panels of the blocks that were asked for, in their order, each with the values
//    that its tokens have; no inner sites of a float model; an unknown block is refused.
// 3. MeasureReport: the first model is the reference of all; parts that are not wanted are not
//    there; blocks default to the first, the middle and the last.
#include "eval/report_data.h"

#include <gtest/gtest.h>

#include "eval/test_model.h"
#include "exec/quantized_format.h"

namespace octet {
namespace {

class ReportDataTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(model_, nullptr); }
  const std::shared_ptr<const Model> model_ = LoadBooks();
};

TEST_F(ReportDataTest, SizesMakeUpTheModel) {
  const StoredSize size = SizeOf(*model_);
  int64_t total = 0;
  for (const auto& [name, w] : StoredTensors(model_->graph(), model_->weights())) {
    total += w.data_bytes();
  }
  EXPECT_EQ(size.total(), total);
  const Weight* embedding = model_->weights().Find("backbone.embeddings.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(size.ends, embedding->data_bytes()) << "tied to the head";
  const Weight* in_proj = model_->weights().Find("backbone.layers.0.mixer.in_proj.weight");
  const Weight* out_proj = model_->weights().Find("backbone.layers.0.mixer.out_proj.weight");
  ASSERT_TRUE(in_proj != nullptr && out_proj != nullptr);
  EXPECT_EQ(size.matrices,
            model_->graph().layers * (in_proj->data_bytes() + out_proj->data_bytes()));
}

TEST_F(ReportDataTest, SitesHaveTheValuesOfTheirTokens) {
  const std::vector<TokenDocument> documents = {RandomTokens(*model_, 70, 1),
                                                RandomTokens(*model_, 30, 2)};
  const std::vector<int> layers = {2, 5};
  const auto r = MeasureSites(*model_, documents, layers, {});
  ASSERT_TRUE(r.ok()) << r.status().message();
  EXPECT_EQ(r->tokens, 100);
  EXPECT_TRUE(r->saturation.empty());
  ASSERT_EQ(r->panels.size(), 14u) << "input, x, B, C, dt, state and output of two blocks";
  EXPECT_EQ(r->panels[0].histogram.site, "layers.2.u_norm");
  EXPECT_EQ(r->panels[7].layer, 5);
  for (const SiteReport::Panel& p : r->panels) {
    if (p.site.name == "state") continue;
    const ValueId v = model_->graph().FindSite(p.site.site);
    ASSERT_GE(v, 0) << p.site.site;
    EXPECT_EQ(p.histogram.values, 100 * model_->graph().nodes[static_cast<size_t>(v)].width);
  }
  const std::vector<int> unknown = {8};
  const auto refused = MeasureSites(*model_, documents, unknown, {});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("there is no block 8"), std::string::npos);
}

TEST_F(ReportDataTest, TheFirstModelIsTheReference) {
  StateFormat narrow;
  narrow.codec = StateCodec::kI8;
  const auto other = WithState(*model_, narrow);
  ASSERT_TRUE(other.ok()) << other.status().message();
  const std::vector<std::shared_ptr<const Model>> models = {model_, model_, *other};
  const std::vector<TokenId> tokens = RandomTokens(*model_, 600, 3);
  ReportOptions options;
  options.windows = {600, 600, 0, 1};  // the state is rounded between chunks
  options.speed = false;
  options.sites = false;
  options.drift_tokens = 20;
  const auto r = MeasureReport(models, tokens, "t", {}, options, {});
  ASSERT_TRUE(r.ok()) << r.status().message();
  ASSERT_EQ(r->models.size(), 3u);
  EXPECT_FALSE(r->models[0].quality);
  EXPECT_EQ(r->models[1].quality->kl_mean.value, 0) << "the same model";
  EXPECT_GT(r->models[2].quality->kl_mean.value, 0);
  EXPECT_LT(r->models[2].state_bytes, r->models[0].state_bytes);
  EXPECT_FALSE(r->models[1].drift);
  ASSERT_TRUE(r->models[2].drift);
  EXPECT_EQ(r->models[2].drift->buckets.back().last, 20);
  EXPECT_FALSE(r->speed);
  EXPECT_FALSE(r->models[0].sites);
  EXPECT_EQ(r->layers, (std::vector<int>{0, 4, 7}));
  EXPECT_FALSE(MeasureReport(std::span(models).first(1), tokens, "t", {}, options, {}).ok());
}

}  // namespace
}  // namespace octet
