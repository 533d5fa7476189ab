// Contracts of exec/site_histogram.h and exec/site_scales.h:
// 1. A site with one static scale: positions are values over the scale, what is beyond the codes is
//    counted as the simulation counts it, used codes are those that values have; values go on
//    rounded.
// 2. Scales by column, by token and by chunk: each value over its own.
// 3. A site in floats keeps its values and all of them are in the bins, however large.
// 4. States: over the largest of the row in a dynamic format, in floats where there are no codes.
// 5. Scores above the diagonal do not count; a site that is not asked for is not there.
// 6. NotableSites of a Mamba-2 block names what the graph has.
#include "exec/site_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "exec/quantized_model_testing.h"
#include "exec/site_scales.h"

namespace octet {
namespace {

Graph GraphWith(const std::string& site, Encoding encoding) {
  Graph graph;
  graph.layers = 1;
  graph.encodings[site] = std::move(encoding);
  return graph;
}

Encoding Int8(std::vector<float> scales, ScaleSource source = ScaleSource::kStatic) {
  return {.dtype = DType::kI8, .source = source, .scales = std::move(scales)};
}

int64_t Sum(const std::vector<int64_t>& bins) {
  return std::accumulate(bins.begin(), bins.end(), int64_t{0});
}

// The bin of a position.
int64_t At(const SiteHistogram& h, double position) {
  const double bin = (position - h.left) / h.width;
  return h.bins.at(static_cast<size_t>(bin));
}

TEST(HistogramTap, CountsOverTheScaleAndBeyondTheCodes) {
  const Graph graph = GraphWith("layers.0.x", Int8({0.5f}));
  HistogramTap tap(graph, {"layers.0.x"});
  // 63.75 is the border of the last code; NaN is no value.
  std::vector<float> values = {0,      0.1f, 0.5f, -63.5f,
                               63.75f, 64,   -100, std::numeric_limits<float>::quiet_NaN()};
  tap.At("layers.0.x", 0, values.data(), 2, 4);
  ASSERT_EQ(tap.histograms().size(), 1u);
  const SiteHistogram& h = tap.histograms().at("layers.0.x");
  EXPECT_EQ(h.values, 7);
  EXPECT_EQ(h.saturated, 2);
  EXPECT_EQ(tap.saturation().at("layers.0.x").saturated, 2);
  EXPECT_EQ(h.min, -100);
  EXPECT_EQ(h.max, 64);
  ASSERT_TRUE(h.grid);
  EXPECT_EQ(h.grid->code, "int8");
  EXPECT_EQ(h.grid->scaling, "static");
  EXPECT_EQ(h.grid->scales, 1);
  EXPECT_EQ(h.grid->min_scale, 0.5f);
  EXPECT_EQ(h.grid->low, -127.5);
  EXPECT_EQ(h.grid->high, 127.5);
  ASSERT_EQ(h.grid->levels.size(), 255u);
  EXPECT_EQ(h.grid->levels.front(), -127);
  // 0, 1, 127, -127.
  EXPECT_EQ(std::ranges::count(h.grid->used, true), 4);
  EXPECT_TRUE(h.grid->used[127] && h.grid->used[128] && h.grid->used[254] && h.grid->used[0]);
  EXPECT_EQ(Sum(h.bins), 7);
  EXPECT_EQ(h.bins.front(), 1) << "-200 steps";
  EXPECT_EQ(At(h, -127), 1);
  EXPECT_EQ(At(h, 127.9), 2);
  EXPECT_EQ(values[1], 0.0f) << "rounded as in a simulation";
  EXPECT_EQ(values[5], 63.5f);
}

TEST(HistogramTap, EveryColumnHasItsScale) {
  const Graph graph = GraphWith("layers.0.x", Int8({0.5f, 0.25f}));
  HistogramTap tap(graph, {"layers.0.x"});
  std::vector<float> values = {10, 10, 10, 10};  // channels 0, 1: scale 0.5; 2, 3: 0.25
  tap.At("layers.0.x", 0, values.data(), 1, 4);
  const SiteHistogram& h = tap.histograms().at("layers.0.x");
  EXPECT_EQ(At(h, 20), 2);
  EXPECT_EQ(At(h, 40), 2);
  EXPECT_EQ(h.grid->min_scale, 0.25f);
  EXPECT_EQ(h.grid->max_scale, 0.5f);
  EXPECT_EQ(h.grid->scales, 2);
}

TEST(HistogramTap, ScalesOfTokensReachTheLastCode) {
  const Graph graph = GraphWith("layers.0.x", Int8({}, ScaleSource::kPerToken));
  HistogramTap tap(graph, {"layers.0.x"});
  std::vector<float> values = {127, 1, 1270, 10};
  tap.At("layers.0.x", 0, values.data(), 2, 2);
  const SiteHistogram& h = tap.histograms().at("layers.0.x");
  EXPECT_EQ(At(h, 127), 2);
  EXPECT_EQ(At(h, 1), 2);
  EXPECT_EQ(h.saturated, 0);
  EXPECT_EQ(h.grid->scaling, "per token");
  EXPECT_TRUE(tap.saturation().empty());
}

TEST(HistogramTap, FloatsKeepTheirValues) {
  Graph graph;
  HistogramTap tap(graph, {"layers.0.dt"});
  std::vector<float> small = {0.0001f, -0.0005f}, large = {3, -1e20f, 0};
  tap.At("layers.0.dt", 0, small.data(), 1, 2);
  tap.At("layers.0.dt", 0, large.data(), 1, 3);
  const SiteHistogram& h = tap.histograms().at("layers.0.dt");
  EXPECT_FALSE(h.grid);
  EXPECT_EQ(h.values, 5);
  EXPECT_EQ(Sum(h.bins), 5);
  EXPECT_LE(h.left, -1e20);
  EXPECT_GE(h.left + h.width * SiteHistogram::kBins, 1e20);
  EXPECT_EQ(At(h, -1e20), 1);
  EXPECT_EQ(small[0], 0.0001f);
}

// Widening joins neighbours: what was counted stays where it was.
TEST(HistogramTap, WideningKeepsPlaces) {
  Graph graph;
  HistogramTap tap(graph, {"a"});
  std::vector<float> values;
  for (int i = -50; i < 50; ++i) {
    values.push_back(0.01f * (static_cast<float>(i) + 0.5f));
  }
  tap.At("a", 0, values.data(), 1, 100);
  std::vector<float> last = {0.99f};
  tap.At("a", 0, last.data(), 1, 1);
  const SiteHistogram& h = tap.histograms().at("a");
  EXPECT_EQ(h.left, -1);
  int64_t below = 0;
  for (int i = 0; i < SiteHistogram::kBins / 2; ++i) {
    below += h.bins[static_cast<size_t>(i)];
  }
  EXPECT_EQ(below, 50);
  EXPECT_EQ(h.bins.back(), 1);
  EXPECT_EQ(At(h, -0.6), 0);
}

TEST(HistogramTap, StatesHaveTheirFormat) {
  Graph graph;
  graph.layers = 1;
  graph.state.codec = StateCodec::kI8;
  HistogramTap rows(graph, {"layers.0.state"});
  std::vector<float> values = {254, 2, 0.127f, 0.001f};
  rows.At("layers.0.state", 0, values.data(), 2, 2);
  const SiteHistogram& h = rows.histograms().at("layers.0.state");
  ASSERT_TRUE(h.grid);
  EXPECT_EQ(h.grid->code, "i8");
  EXPECT_EQ(h.grid->scaling, "per row");
  EXPECT_EQ(At(h, 127), 2);
  EXPECT_EQ(At(h, 1), 2);
  EXPECT_EQ(values[1], 2) << "the state itself is not rounded here";

  graph.state.codec = StateCodec::kI8Static;
  graph.state_scales = std::make_shared<const std::vector<StateScales>>(
      std::vector<StateScales>{{.columns = 2, .values = {1, 2, 4, 8}, .row_map = {}}});
  HistogramTap fixed(graph, {"layers.0.state"});
  fixed.At("layers.0.state", 0, values.data(), 2, 2);
  const SiteHistogram& f = fixed.histograms().at("layers.0.state");
  EXPECT_EQ(f.saturated, 1) << "254 steps of 1";
  EXPECT_EQ(At(f, 1), 3) << "2 in steps of 2, near 0 in steps of 4 and of 8";
  EXPECT_EQ(f.grid->scales, 4);

  graph.state.codec = StateCodec::kF16;
  HistogramTap floats(graph, {"layers.0.state"});
  floats.At("layers.0.state", 0, values.data(), 2, 2);
  EXPECT_FALSE(floats.histograms().at("layers.0.state").grid);
}

TEST(HistogramTap, ScoresCountUpToTheDiagonal) {
  const QuantizedParts q = MakeQuantizedParts();
  HistogramTap tap(q.graph, {"layers.1.ssd.score"});
  std::vector<float> values(16, 1.0f);
  tap.At("layers.1.ssd.score", 0, values.data(), 4, 4);
  tap.At("layers.0.ssd.score", 0, values.data(), 4, 4);
  ASSERT_EQ(tap.histograms().size(), 1u);
  EXPECT_EQ(tap.histograms().at("layers.1.ssd.score").values, 10);
}

TEST(NotableSites, OfAMamba2Block) {
  const QuantizedParts q = MakeQuantizedParts();
  std::vector<std::string> names, sites;
  for (const NamedSite& s : NotableSites(q.graph, 0)) {
    names.push_back(s.name);
    sites.push_back(s.site);
    if (s.inner || s.name == "state") continue;
    EXPECT_GE(q.graph.FindSite(s.site), 0) << s.site;
  }
  EXPECT_EQ(names, (std::vector<std::string>{"in_proj input", "x", "B", "C", "dt", "ssd.x_scaled",
                                             "ssd.score", "ssd.state", "state", "out_proj input"}));
  EXPECT_EQ(sites.front(), "layers.0.u_norm");
  EXPECT_EQ(sites.back(), "layers.0.y_rot") << "behind the Hadamard transform";
}

}  // namespace
}  // namespace octet
