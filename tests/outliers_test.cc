// Contracts of outlier copies, on the shipped models of both families:
//  1. The float function stays: logits within 1e-5 of the largest one.
//  2. Chosen channels of the norms' outputs grow, the others do not change, and absmax suffers; a
//     seed gives the same copy again, another seed another one.
//  3. Options that do not fit are refused.
#include "quant/outliers.h"

#include <algorithm>
#include <cmath>
#include <span>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exec/interpreter.h"
#include "kernels/isa.h"
#include "tests/models.h"

namespace octet {
namespace {

using testing::HasSubstr;

class OutliersTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto source = LoadFloatCheckpoint(GetParam());
    ASSERT_TRUE(source.ok()) << source.status().message();
    graph_ = std::move(source->graph);
    weights_ = std::move(source->weights);
  }

  WeightMap Copy(const OutlierOptions& options) const {
    WeightMap copy = weights_;
    const Status s = AddOutliers(options, graph_, &copy);
    EXPECT_TRUE(s.ok()) << s.message();
    return copy;
  }

  std::vector<float> Logits(const WeightMap& weights) const {
    const Interpreter interpreter(graph_, weights, AllowedIsas());
    State state(graph_);
    std::vector<float> logits;
    const auto tokens = RandomTokens(48, graph_.vocab_rows, 3);
    EXPECT_TRUE(interpreter.Run(tokens, &state, nullptr, &logits).ok());
    return logits;
  }

  Graph graph_;
  WeightMap weights_;
};

TEST_P(OutliersTest, KeepTheFunction) {
  const std::vector<float> want = Logits(weights_), got = Logits(Copy({}));
  double largest = 0, difference = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(want[i])));
    difference =
        std::max(difference, std::fabs(static_cast<double>(got[i]) - static_cast<double>(want[i])));
  }
  EXPECT_LT(difference, 1e-5 * largest);
  EXPECT_GT(difference, 0) << "nothing was moved";
}

// Ratios of the weights of a norm, after over before, sorted.
std::vector<float> Ratios(const WeightMap& before, const WeightMap& after,
                          const std::string& name) {
  const std::vector<float> a = ToF32(*before.Find(name)), b = ToF32(*after.Find(name));
  std::vector<float> ratios;
  for (size_t i = 0; i < a.size(); ++i) {
    ratios.push_back(a[i] == 0 ? 1 : b[i] / a[i]);
  }
  std::ranges::sort(ratios);
  return ratios;
}

TEST_P(OutliersTest, AreInAFewChannels) {
  const WeightMap copy = Copy({.channels = 5, .max_factor = 50, .seed = 7});
  const std::string norm = "backbone.layers.1.norm.weight";
  const std::vector<float> ratios = Ratios(weights_, copy, norm);
  EXPECT_EQ(ratios.front(), 1.0f);
  EXPECT_EQ(ratios[ratios.size() - 6], 1.0f) << "only 5 channels";
  EXPECT_GT(ratios[ratios.size() - 5], 1.0f);
  EXPECT_GT(ratios.back(), 5.0f);
  EXPECT_LE(ratios.back(), 50.01f);
  EXPECT_NE(ratios, Ratios(weights_, copy, "backbone.layers.0.norm.weight"));
  EXPECT_EQ(ratios, Ratios(weights_, Copy({5, 50, 7}), norm));
  EXPECT_NE(ratios, Ratios(weights_, Copy({5, 50, 8}), norm));
}

TEST_P(OutliersTest, RefuseOptionsThatDoNotFit) {
  const auto message = [&](const OutlierOptions& options) {
    WeightMap copy = weights_;
    const Status s = AddOutliers(options, graph_, &copy);
    EXPECT_EQ(s.code(), Code::kInvalidArgument);
    return s.message();
  };
  EXPECT_THAT(message({.channels = 1 << 20}), HasSubstr("has only"));
  EXPECT_THAT(message({.max_factor = 0.5}), HasSubstr("at least 1"));
  EXPECT_THAT(message({.channels = -1}), HasSubstr("at least 0"));
}

std::string NameOf(const testing::TestParamInfo<const char*>& model) {
  return std::string(model.param) == kBooksModel ? "Mamba2" : "Mamba";
}

INSTANTIATE_TEST_SUITE_P(Models, OutliersTest, testing::Values(kBooksModel, kBooksMamba1), NameOf);

}  // namespace
}  // namespace octet
