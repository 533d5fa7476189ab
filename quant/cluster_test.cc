// Contracts of ClusterHeads:
//  1. The order is a permutation of heads within each group and of channels within each head; each
//     head's channels ascend; sizes add up, for any H / G and P, also below 4.
//  2. Head clusters are those of a naive Ward in the sum-of-squares form (the merge that raises the
//     total squared distance to the means least).
//  3. Channel runs have the least cost of all contiguous splits, by enumeration.
//  4. Planted clusters are found, whatever the order of heads and channels.
//  5. Ties go to the lower index.
//  6. Sizes that do not fit and values out of range are errors.
#include "quant/cluster.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/rng.h"

namespace octet {
namespace {

using testing::ElementsAre;
using Floats = std::vector<float>;
using Sizes = std::vector<int64_t>;

Floats RandomRanges(int64_t n, uint64_t seed) {
  Rng rng(seed);
  Floats v(static_cast<size_t>(n));
  for (float& e : v) {
    e = std::exp(rng.Uniform(-3, 3));
  }
  return v;
}

// The sorted vector of unit length of old head `h`.
std::vector<double> UnitVector(const Floats& range, int64_t h, int64_t P) {
  std::vector<double> v(range.begin() + h * P, range.begin() + (h + 1) * P);
  std::ranges::sort(v);
  const double norm = std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0));
  for (double& e : v) {
    e = norm > 0 ? e / norm : 0;
  }
  return v;
}

// Sum of squared distances of the vectors to their mean.
double Scatter(const std::vector<std::vector<double>>& vectors) {
  double total = 0;
  for (size_t i = 0; i < vectors[0].size(); ++i) {
    double mean = 0;
    for (const auto& v : vectors) {
      mean += v[i] / static_cast<double>(vectors.size());
    }
    for (const auto& v : vectors) {
      total += (v[i] - mean) * (v[i] - mean);
    }
  }
  return total;
}

double ScatterOf(const Floats& range, int64_t P, const Sizes& heads) {
  std::vector<std::vector<double>> vectors;
  for (const int64_t h : heads) {
    vectors.push_back(UnitVector(range, h, P));
  }
  return Scatter(vectors);
}

// Ward by its other definition, on old heads [first, last).
std::set<Sizes> NaiveWard(const Floats& range, int64_t P, int64_t first, int64_t last) {
  std::vector<Sizes> clusters;
  for (int64_t h = first; h < last; ++h) {
    clusters.push_back({h});
  }
  while (clusters.size() > 4) {
    double least = std::numeric_limits<double>::infinity();
    std::pair<size_t, size_t> pair;
    for (size_t i = 0; i < clusters.size(); ++i) {
      for (size_t j = i + 1; j < clusters.size(); ++j) {
        Sizes both = clusters[i];
        both.insert(both.end(), clusters[j].begin(), clusters[j].end());
        const double rise = ScatterOf(range, P, both) - ScatterOf(range, P, clusters[i]) -
                            ScatterOf(range, P, clusters[j]);
        if (rise < least) {
          least = rise;
          pair = {i, j};
        }
      }
    }
    clusters[pair.first].insert(clusters[pair.first].end(), clusters[pair.second].begin(),
                                clusters[pair.second].end());
    clusters.erase(clusters.begin() + static_cast<std::ptrdiff_t>(pair.second));
  }
  for (Sizes& c : clusters) {
    std::ranges::sort(c);
  }
  return {clusters.begin(), clusters.end()};
}

// Old heads of cluster `i` of group `g`.
Sizes HeadsOf(const HeadClusters& c, int64_t per_group, int64_t g, int64_t i) {
  const auto sizes = c.head_sizes.begin() + g * 4;
  const auto begin =
      c.order.heads.begin() + g * per_group + std::accumulate(sizes, sizes + i, int64_t{0});
  return {begin, begin + sizes[i]};
}

Sizes RunsOf(const HeadClusters& c, int64_t g, int64_t i) {
  const auto begin = c.channel_sizes.begin() + (g * 4 + i) * 4;
  return {begin, begin + 4};
}

// Cost of splitting the columns of `heads` into runs of the given lengths.
double SplitCost(const Floats& range, int64_t P, const Sizes& heads, const Sizes& runs) {
  double cost = 0;
  size_t column = 0;
  for (const int64_t length : runs) {
    if (length == 0) continue;
    std::vector<std::vector<double>> columns;
    for (int64_t j = 0; j < length; ++j, ++column) {
      columns.emplace_back();
      for (const int64_t h : heads) {
        columns.back().push_back(UnitVector(range, h, P)[column]);
      }
    }
    cost += Scatter(columns);
  }
  return cost;
}

double LeastSplitCost(const Floats& range, int64_t P, const Sizes& heads) {
  double least = std::numeric_limits<double>::infinity();
  for (int64_t a = 1; a < P; ++a) {
    for (int64_t b = a + 1; b < P; ++b) {
      for (int64_t c = b + 1; c < P; ++c) {
        least = std::min(least, SplitCost(range, P, heads, {a, b - a, c - b, P - c}));
      }
    }
  }
  return least;
}

void ExpectValid(const HeadClusters& c, const Floats& range, int64_t H, int64_t P, int64_t G) {
  ASSERT_EQ(static_cast<int64_t>(c.order.heads.size()), H);
  ASSERT_EQ(static_cast<int64_t>(c.order.channels.size()), H * P);
  for (int64_t i = 0; i < H; ++i) {
    const int64_t old = c.order.heads[static_cast<size_t>(i)];
    ASSERT_EQ(old / (H / G), i / (H / G)) << "a head left its group";
    const Sizes channels(c.order.channels.begin() + i * P, c.order.channels.begin() + (i + 1) * P);
    for (int64_t j = 1; j < P; ++j) {
      EXPECT_LE(range[static_cast<size_t>(old * P + channels[static_cast<size_t>(j - 1)])],
                range[static_cast<size_t>(old * P + channels[static_cast<size_t>(j)])]);
    }
    EXPECT_EQ(std::set<int64_t>(channels.begin(), channels.end()).size(), channels.size());
    EXPECT_LT(*std::ranges::max_element(channels), P);
  }
  EXPECT_EQ(std::set<int64_t>(c.order.heads.begin(), c.order.heads.end()).size(),
            c.order.heads.size());
  for (int64_t g = 0; g < G; ++g) {
    for (int64_t i = 0; i < 4; ++i) {
      const bool exists = i < std::min<int64_t>(4, H / G);
      EXPECT_EQ(c.head_sizes[static_cast<size_t>(g * 4 + i)] > 0, exists);
      const Sizes runs = RunsOf(c, g, i);
      EXPECT_EQ(std::accumulate(runs.begin(), runs.end(), int64_t{0}), exists ? P : 0);
      for (int64_t j = 0; j < 4; ++j) {
        EXPECT_EQ(runs[static_cast<size_t>(j)] > 0, exists && j < std::min<int64_t>(4, P));
      }
    }
    const auto sizes = c.head_sizes.begin() + g * 4;
    EXPECT_EQ(std::accumulate(sizes, sizes + 4, int64_t{0}), H / G);
  }
}

RC_GTEST_PROP(ClusterHeads, IsAValidOrderForAnySizes, ()) {
  const auto G = *rc::gen::inRange<int64_t>(1, 5);
  const auto H = G * *rc::gen::inRange<int64_t>(1, 10);
  const auto P = *rc::gen::inRange<int64_t>(1, 12);
  // Few distinct values: ties everywhere.
  const auto ranges = *rc::gen::container<Floats>(
      static_cast<size_t>(H * P),
      rc::gen::map(rc::gen::inRange(0, 4), [](int v) { return static_cast<float>(v); }));
  const Result<HeadClusters> c = ClusterHeads(ranges, H, P, G);
  RC_ASSERT(c.ok());
  ExpectValid(*c, ranges, H, P, G);
}

TEST(ClusterHeadsTest, HeadClustersAreWards) {
  for (const uint64_t seed : {1, 2, 3, 4, 5}) {
    const int64_t H = 18, P = 5, G = 2;
    const Floats ranges = RandomRanges(H * P, seed);
    const HeadClusters c = *ClusterHeads(ranges, H, P, G);
    for (int64_t g = 0; g < G; ++g) {
      std::vector<Sizes> clusters;
      for (int64_t i = 0; i < 4; ++i) {
        clusters.push_back(HeadsOf(c, H / G, g, i));
        EXPECT_TRUE(std::ranges::is_sorted(clusters.back()));
      }
      EXPECT_TRUE(std::ranges::is_sorted(clusters)) << "not in the order of their first heads";
      EXPECT_EQ(std::set<Sizes>(clusters.begin(), clusters.end()),
                NaiveWard(ranges, P, g * H / G, (g + 1) * H / G))
          << "seed " << seed;
    }
  }
}

TEST(ClusterHeadsTest, ChannelRunsAreTheBestOfAll) {
  for (const uint64_t seed : {1, 2, 3}) {
    for (const int64_t P : {4, 5, 11}) {
      const int64_t H = 7;
      const Floats ranges = RandomRanges(H * P, seed);
      const HeadClusters c = *ClusterHeads(ranges, H, P, 1);
      for (int64_t i = 0; i < 4; ++i) {
        const Sizes heads = HeadsOf(c, H, 0, i);
        EXPECT_NEAR(SplitCost(ranges, P, heads, RunsOf(c, 0, i)), LeastSplitCost(ranges, P, heads),
                    1e-12);
      }
    }
  }
}

TEST(ClusterHeadsTest, PlantedClustersAreFound) {
  // Four kinds of heads by the number of large channels; three levels and an outlier in each.
  const int64_t H = 24, P = 16;
  Rng rng(7);
  Floats ranges;
  std::vector<int64_t> kinds;
  for (int64_t h = 0; h < H; ++h) {
    const auto kind = static_cast<int64_t>(rng.Below(4));
    kinds.push_back(kind);
    Floats head;
    for (int64_t p = 0; p < P; ++p) {
      const int64_t large = 2 + 3 * kind;
      const float level = p == 0 ? 100.0f : p < 1 + large ? 30.0f : p < 3 + large ? 10.0f : 1.0f;
      head.push_back(level * rng.Uniform(0.99f, 1.01f));
    }
    for (size_t p = head.size() - 1; p > 0; --p) {
      std::swap(head[p], head[rng.Below(p + 1)]);
    }
    const float size = std::exp(rng.Uniform(-3, 3));  // normalized away
    for (const float v : head) {
      ranges.push_back(v * size);
    }
  }
  ASSERT_EQ(std::set<int64_t>(kinds.begin(), kinds.end()).size(), 4U);
  const HeadClusters c = *ClusterHeads(ranges, H, P, 1);
  for (int64_t i = 0; i < 4; ++i) {
    const Sizes heads = HeadsOf(c, H, 0, i);
    const int64_t kind = kinds[static_cast<size_t>(heads[0])];
    EXPECT_EQ(static_cast<int64_t>(heads.size()), std::ranges::count(kinds, kind));
    for (const int64_t h : heads) {
      EXPECT_EQ(kinds[static_cast<size_t>(h)], kind);
    }
    EXPECT_EQ(RunsOf(c, 0, i), (Sizes{P - 5 - 3 * kind, 2, 2 + 3 * kind, 1}));
  }
}

TEST(ClusterHeadsTest, TiesGoToTheLowerIndex) {
  const HeadClusters c = *ClusterHeads(Floats(6 * 6, 1.0f), 6, 6, 1);
  EXPECT_THAT(c.order.heads, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(c.head_sizes, ElementsAre(3, 1, 1, 1));
  EXPECT_THAT(RunsOf(c, 0, 0), ElementsAre(1, 1, 1, 3));
  for (size_t i = 0; i < 36; ++i) {
    EXPECT_EQ(c.order.channels[i], static_cast<int64_t>(i % 6));
  }
  // Two equal pairs among five different heads: the first pair merges.
  const HeadClusters d = *ClusterHeads(Floats{9, 1, 5, 5, 9, 1, 5, 5, 1, 3}, 5, 2, 1);
  EXPECT_THAT(d.head_sizes, ElementsAre(2, 1, 1, 1));
  EXPECT_THAT(d.order.heads, ElementsAre(0, 2, 1, 3, 4));
}

TEST(ClusterHeadsTest, Errors) {
  const Floats ok(12, 1.0f);
  EXPECT_TRUE(ClusterHeads(ok, 4, 3, 2).ok());
  for (const auto& [H, P, G] : {std::array<int64_t, 3>{4, 3, 3},
                                {5, 3, 1},
                                {4, 0, 1},
                                {0, 3, 1},
                                {4, 3, 0},
                                {3, 3, 1},
                                {-4, -3, 1}}) {
    EXPECT_EQ(ClusterHeads(ok, H, P, G).status().code(), Code::kInvalidArgument);
  }
  for (const float bad : {-1.0f, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    Floats v = ok;
    v[7] = bad;
    EXPECT_EQ(ClusterHeads(v, 4, 3, 2).status().code(), Code::kCorrupt);
  }
}

}  // namespace
}  // namespace octet
