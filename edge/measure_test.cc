// Contracts:
//  1. Sites in the order of the model, each with all of its values; finer codes are nearer to
//  float.
//  2. A value is counted as cut off exactly where its range was made smaller than what it holds:
//     ranges that hold the sequences themselves cut off next to nothing.
#include "edge/measure.h"

#include <gmock/gmock.h>

#include "edge/small_model_testing.h"

namespace octet {
namespace {

using testing::ElementsAre;

constexpr int64_t kSequences = 4, kFrames = 50;

std::vector<SiteError> Measure(const SmallModel& m, const S4dPlan& plan) {
  const Result<IntegerS4d> integers = LowerS4d(m.graph, m.weights, plan, m.ranges);
  EXPECT_TRUE(integers.ok()) << integers.status().message();
  // Of those that the ranges were observed on.
  const auto sequence = [&](int64_t i) {
    return RandomFrames(kFrames, m.inputs, 3000 + static_cast<uint64_t>(i));
  };
  Result<std::vector<SiteError>> sites =
      MeasureSites(m.graph, m.weights, plan, m.ranges, *integers, kSequences, sequence);
  EXPECT_TRUE(sites.ok()) << sites.status().message();
  return *std::move(sites);
}

const SiteError& Of(const std::vector<SiteError>& sites, const std::string& site) {
  return *std::ranges::find(sites, site, &SiteError::site);
}

TEST(MeasureSites, AllOfThem) {
  const SmallModel m = MakeSmallModel({2, 6, 4, 2, 3, true, true, false}, 3);
  const std::vector<SiteError> sites = Measure(m, EightBits(16));
  std::vector<std::string> names;
  for (const SiteError& e : sites) {
    names.push_back(e.site);
    EXPECT_GT(e.sqnr(), 20) << e.site;
    EXPECT_LT(e.sqnr(), 110) << e.site;
  }
  EXPECT_THAT(names,
              ElementsAre("frames", "layers.0.u", "layers.0.x", "layers.0.y_ssm", "layers.0.y",
                          "layers.0.gelu", "layers.1.u", "layers.1.x", "layers.1.y_ssm",
                          "layers.1.y", "layers.1.gelu", "mean", "logits"));
  EXPECT_EQ(Of(sites, "frames").values, kSequences * kFrames * 2);
  EXPECT_EQ(Of(sites, "layers.1.x").values, kSequences * kFrames * 6 * 3 * 2);
  EXPECT_EQ(Of(sites, "layers.1.gelu").values, kSequences * kFrames * 6);
  EXPECT_EQ(Of(sites, "mean").values, kSequences * 6);
  EXPECT_EQ(Of(sites, "logits").values, kSequences * 4);
  S4dPlan coarse = EightBits(16);
  coarse.activations.bits = 4;
  const std::vector<SiteError> rough = Measure(m, coarse);
  for (size_t i = 0; i < sites.size(); ++i) {
    EXPECT_LT(rough[i].sqnr(), sites[i].sqnr() - 6) << sites[i].site;
  }
}

TEST(MeasureSites, WhatIsCutOff) {
  const SmallModel m = MakeSmallModel({2, 6, 4, 2, 3, true, true, false}, 3);
  for (const SiteError& e : Measure(m, EightBits(16))) {
    EXPECT_LE(e.cut, e.values / 50) << e.site;
  }
  for (const char* site : {"frames", "layers.0.u", "layers.1.x", "layers.0.y_ssm", "layers.1.y",
                           "layers.0.gelu", "mean"}) {
    SmallModel narrow = m;
    for (SeenRange& r : narrow.ranges[site]) {
      SeenRange half;
      half.Include(r.low / 2);
      half.Include(r.high / 2);
      r = half;
    }
    const std::vector<SiteError> sites = Measure(narrow, EightBits(16));
    EXPECT_GT(Of(sites, site).cut, Of(Measure(m, EightBits(16)), site).cut) << site;
  }
}

}  // namespace
}  // namespace octet
