// Contracts:
//  1. Without bits the discrete model is the float one; with 16 it is close, with fewer less so.
//  2. Groups share exactly the scales that their grain says: each group has at most 2^bits values.
//  3. Poles in polar coordinates lie on a grid of 2^bits radii and phases; the ends stay, and
//     log-polar ones stay inside the circle.
#include "quant/s4d/weights.h"

#include <cmath>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "exec/interpreter.h"
#include "graph/s4d_block_testing.h"

namespace octet {
namespace {

const S4dBlockSizes kSizes{.trained_b = true};

S4dWeights Quantized(const S4dPlan& plan) {
  Result<S4dWeights> q =
      QuantizeS4dWeights(MakeS4dBlocks(kSizes), MakeS4dBlockWeights(kSizes, 4), plan);
  EXPECT_TRUE(q.ok()) << q.status().message();
  EXPECT_TRUE(Verify(q->graph).ok()) << Verify(q->graph).message();
  return *std::move(q);
}

std::vector<float> Logits(const Graph& graph, const WeightMap& weights) {
  std::vector<float> frames(2 * 60), logits;
  Rng rng(6);
  for (float& v : frames) {
    v = rng.Uniform(-1, 1);
  }
  State state(graph);
  EXPECT_TRUE(
      Interpreter(graph, weights, kReferenceOnly).RunFrames(frames, &state, nullptr, &logits).ok());
  return logits;
}

double Distance(const S4dPlan& plan) {
  const S4dWeights q = Quantized(plan);
  const std::vector<float> got = Logits(q.graph, q.weights),
                           want = Logits(MakeS4dBlocks(kSizes), MakeS4dBlockWeights(kSizes, 4));
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    worst = std::max(worst, std::fabs(static_cast<double>(got[i]) - want[i]));
  }
  return worst;
}

TEST(QuantizeS4dWeights, FewerBitsAreFurtherFromFloat) {
  EXPECT_LT(Distance({}), 1e-6);
  const std::vector<std::function<void(S4dPlan*, int)>> parts = {
      [](S4dPlan* p, int b) { p->A.bits = b; },
      [](S4dPlan* p, int b) {
        p->A = {PoleCodec::kPolar, b, b};
      },
      [](S4dPlan* p, int b) {
        p->A = {PoleCodec::kLogPolar, b, b};
      },
      [](S4dPlan* p, int b) { p->B.bits = b; },
      [](S4dPlan* p, int b) { p->C.bits = b; },
      [](S4dPlan* p, int b) { p->D.bits = b; },
      [](S4dPlan* p, int b) { p->linears.bits = b; }};
  for (size_t i = 0; i < parts.size(); ++i) {
    S4dPlan fine, coarse;
    parts[i](&fine, 16);
    parts[i](&coarse, 4);
    EXPECT_LT(Distance(fine), 2e-3) << i;
    EXPECT_GT(Distance(coarse), 4 * Distance(fine)) << i;
  }
}

TEST(QuantizeS4dWeights, GroupsShareScales) {
  const int64_t H = kSizes.d_model, N = kSizes.modes;
  for (const S4dGrain grain : {S4dGrain::kTensor, S4dGrain::kHead, S4dGrain::kMode}) {
    S4dPlan plan;
    plan.A.bits = plan.B.bits = plan.C.bits = 2;
    plan.A.grain = plan.B.grain = plan.C.grain = grain;
    const S4dWeights q = Quantized(plan);
    const int64_t group = grain == S4dGrain::kTensor ? H * N * 2
                          : grain == S4dGrain::kHead ? N * 2
                                                     : 2;
    for (const char* part : {"A", "B", "C"}) {
      const std::vector<float> values =
          ToF32(*q.weights.Find(fmt::format("s4_layers.1.kernel.{}", part)));
      std::set<float> all;
      for (size_t begin = 0; begin < values.size(); begin += static_cast<size_t>(group)) {
        const std::set<float> own(values.begin() + static_cast<int64_t>(begin),
                                  values.begin() + static_cast<int64_t>(begin) + group);
        EXPECT_LE(own.size(), 4u) << part;
        all.insert(own.begin(), own.end());
      }
      if (grain == S4dGrain::kHead) {
        EXPECT_GT(all.size(), 4u) << part;
      }
      if (grain == S4dGrain::kMode) {  // the ends of a group of two are codes
        const std::vector<float> want =
            ToF32(*Quantized({}).weights.Find(fmt::format("s4_layers.1.kernel.{}", part)));
        for (size_t i = 0; i < want.size(); ++i) {
          const float width = std::fabs(want[i] - want[i ^ 1]);
          EXPECT_NEAR(values[i], want[i], width / 6 + 1e-6f) << part << i;
        }
      }
    }
  }
  S4dPlan rows;
  rows.linears = {3, S4dGrain::kHead, true};
  const Weight z = *Quantized(rows).weights.Find("s4_layers.0.output_linear.0.weight");
  const std::vector<float> values = ToF32(z);
  for (int64_t r = 0; r < z.rows(); ++r) {
    const std::set<float> own(values.begin() + r * z.columns(),
                              values.begin() + (r + 1) * z.columns());
    EXPECT_LE(own.size(), 7u);
  }
}

TEST(QuantizePoles, LieOnTheGrid) {
  Rng rng(3);
  for (const PoleCodec codec : {PoleCodec::kPolar, PoleCodec::kLogPolar}) {
    std::vector<std::complex<double>> poles;
    for (int i = 0; i < 64; ++i) {
      poles.push_back(std::polar(1 - std::pow(10, -5 * rng.Uniform()), 2.5 * rng.Uniform()));
    }
    std::vector<std::complex<double>> quantized = poles;
    QuantizePoles({codec, 2, 3}, quantized);
    std::set<int64_t> radii, phases;
    double low = 2, high = 0, low_q = 2, high_q = 0;
    for (size_t i = 0; i < poles.size(); ++i) {
      const double r = std::abs(quantized[i]);
      EXPECT_LT(r, 1);
      radii.insert(std::llround(r * 1e12));
      phases.insert(std::llround(std::arg(quantized[i]) * 1e9));
      low = std::min(low, std::abs(poles[i]));
      high = std::max(high, std::abs(poles[i]));
      low_q = std::min(low_q, r);
      high_q = std::max(high_q, r);
      EXPECT_NEAR(std::arg(quantized[i]), std::arg(poles[i]), 2.5 / 14 + 1e-9);
    }
    EXPECT_LE(radii.size(), 4u);
    EXPECT_GT(radii.size(), 2u);
    EXPECT_EQ(phases.size(), 8u);
    EXPECT_NEAR(low_q, low, 1e-9);
    EXPECT_NEAR(high_q, high, 1e-9);
  }
  std::vector<std::complex<double>> on_circle = {{0, 1}, {0.5, 0}};
  QuantizePoles({PoleCodec::kLogPolar, 4, 8}, on_circle);
  EXPECT_LT(std::abs(on_circle[0]), 1);
}

TEST(CheckPlan, RefusesWhatMeansNothing) {
  const auto error = [](const std::function<void(S4dPlan*)>& edit) {
    S4dPlan p;
    edit(&p);
    return Check(p).message();
  };
  using testing::HasSubstr;
  EXPECT_EQ(error([](S4dPlan*) {}), "");
  EXPECT_THAT(error([](S4dPlan* p) { p->A.bits = 17; }), HasSubstr("A: 17 bits"));
  EXPECT_THAT(error([](S4dPlan* p) { p->B.bits = 1; }), HasSubstr("B: 1 bits"));
  EXPECT_THAT(error([](S4dPlan* p) { p->activations.bits = -2; }), HasSubstr("activations"));
  EXPECT_THAT(error([](S4dPlan* p) { p->A = {PoleCodec::kPolar, 4, 0}; }), HasSubstr("phase"));
  EXPECT_THAT(error([](S4dPlan* p) { p->A = {PoleCodec::kCartesian, 4, 4}; }), HasSubstr("phase"));
  EXPECT_THAT(error([](S4dPlan* p) { p->A = {PoleCodec::kPolar, 0, 8}; }), HasSubstr("phase"));
  EXPECT_THAT(error([](S4dPlan* p) {
                p->A = {PoleCodec::kLogPolar, 4, 8, S4dGrain::kHead, true};
              }),
              HasSubstr("not symmetric"));
  EXPECT_THAT(error([](S4dPlan* p) { p->linears.grain = S4dGrain::kMode; }), HasSubstr("linears"));
  EXPECT_THAT(error([](S4dPlan* p) {
                p->x.dynamic = true;
                p->x.code.grain = S4dGrain::kMode;
              }),
              HasSubstr("x: dynamic"));
  EXPECT_THAT(error([](S4dPlan* p) { p->x.rounding = StateRounding::kStochastic; }),
              HasSubstr("symmetric"));
  EXPECT_THAT(error([](S4dPlan* p) { p->x.limit = -1; }), HasSubstr("limit"));
}

}  // namespace
}  // namespace octet
