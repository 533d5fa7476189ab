// Contracts:
// 1. Taps see every site once per chunk, with the shapes and order of axes that ssd.h states;
// looking
//    changes nothing; the last state shown is the one the call leaves behind.
// 2. Scores are the dot products of C and B, zero above the diagonal unless full_score.
// 3. What a tap writes is what later stages read, and the carried state is not the tapped copy.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/ssd_testing.h"

namespace octet {
namespace {

using testing::RunSsd;
using testing::SsdOutput;
using testing::SsdProblem;
using testing::SsdShape;

size_t At(int64_t i) {
  return static_cast<size_t>(i);
}

double BcValue(const SsdArgs& args, const void* data, int64_t t, int64_t head, int64_t n) {
  const int64_t g = head * args.G / args.H;
  return static_cast<const float*>(data)[t * args.bc_stride + g * args.N + n];
}

struct Site {
  SsdSite site;
  int64_t index, rows, cols;
  std::vector<float> values;
};

void Record(void* context, SsdSite site, int64_t index, float* values, int64_t rows, int64_t cols) {
  auto* sites = static_cast<std::vector<Site>*>(context);
  sites->push_back({site, index, rows, cols, {values, values + rows * cols}});
}

std::vector<Site> Of(const std::vector<Site>& sites, SsdSite site, int64_t index) {
  std::vector<Site> found;
  for (const Site& s : sites) {
    if (s.site == site && s.index == index) found.push_back(s);
  }
  return found;
}

SsdShape Shape() {
  SsdShape shape;
  shape.T = 21;
  shape.H = 4;
  shape.G = 2;
  return shape;
}

// Every kernel that accepts taps.
std::vector<const Kernel<SsdArgs>*> TappedKernels() {
  SsdProblem problem(Shape());
  const SsdTap tap = {};
  SsdArgs args = problem.Float();
  args.tap = &tap;
  return testing::Accepting(args);
}

class SsdTaps : public ::testing::TestWithParam<const Kernel<SsdArgs>*> {
 protected:
  static void RunKernel(const SsdArgs& args) { RunSsd(*GetParam(), args); }
  std::vector<Site> Run(bool full_score) {
    std::vector<Site> sites;
    const SsdTap tap = {Record, &sites};
    SsdArgs args = problem_.Float();
    args.tap = &tap;
    args.full_score = full_score;
    problem_.Reset();
    RunKernel(args);
    return sites;
  }
  SsdProblem problem_{Shape()};
};
INSTANTIATE_TEST_SUITE_P(Kernels, SsdTaps, ::testing::ValuesIn(TappedKernels()),
                         [](const auto& kernel) {
                           std::string name = kernel.param->name;
                           std::replace(name.begin(), name.end(), '/', '_');
                           return name;
                         });

TEST_P(SsdTaps, SeeEverySiteOnceAndChangeNothing) {
  RunKernel(problem_.Float());
  const SsdOutput untapped = problem_.Output();
  const std::vector<Site> sites = Run(false);
  EXPECT_TRUE(problem_.Output() == untapped);
  EXPECT_EQ(sites.size(), size_t{2 * (2 + 4 * 3) + 4});
  problem_.Reset();
  const std::vector<float> initial = problem_.StateValues();
  RunKernel(problem_.Float());
  const std::vector<float> last = problem_.StateValues();
  for (int64_t head = 0; head < 4; ++head) {
    const std::vector<Site> x = Of(sites, SsdSite::kXScaled, head);
    ASSERT_EQ(x.size(), 2u);
    EXPECT_EQ(std::pair(x[0].rows, x[0].cols), std::pair(int64_t{16}, int64_t{5}));
    EXPECT_EQ(std::pair(x[1].rows, x[1].cols), std::pair(int64_t{5}, int64_t{5}));
    EXPECT_EQ(Of(sites, SsdSite::kLocalState, head).size(), 2u);
    const std::vector<Site> state = Of(sites, SsdSite::kState, head);
    ASSERT_EQ(state.size(), 3u);
    const int64_t count = state[0].rows * state[0].cols;
    EXPECT_EQ(count, 5 * 21);
    const auto begin = head * count;
    EXPECT_EQ(state[0].values,
              std::vector<float>(initial.begin() + begin, initial.begin() + begin + count));
    EXPECT_EQ(state[2].values,
              std::vector<float>(last.begin() + begin, last.begin() + begin + count));
  }
}

TEST_P(SsdTaps, ScoresAreDotProductsAndZeroAboveTheDiagonalUnlessFull) {
  const SsdArgs args = problem_.Float();
  for (const bool full : {false, true}) {
    const std::vector<Site> sites = Run(full);
    for (int64_t g = 0; g < 2; ++g) {
      const std::vector<Site> score = Of(sites, SsdSite::kScore, g);
      ASSERT_EQ(score.size(), 2u);
      const Site& second = score[1];
      ASSERT_EQ(std::pair(second.rows, second.cols), std::pair(int64_t{5}, int64_t{5}));
      for (int64_t i = 0; i < 25; ++i) {
        double dot = 0.0;
        double size = 0.0;
        for (int64_t n = 0; n < args.N; ++n) {
          const double term = BcValue(args, args.C, 16 + i / 5, g * 2, n) *
                              BcValue(args, args.B, 16 + i % 5, g * 2, n);
          dot += term;
          size += std::fabs(term);
        }
        if (!full && i % 5 > i / 5) dot = size = 0.0;
        // The reference rounds once, which the simulated run relies on; others once per term.
        const bool exact = GetParam()->isa == Isa::kScalar;
        const double bound = exact ? 0.0 : 0x1.0p-24 * static_cast<double>(args.N + 1) * size;
        EXPECT_NEAR(second.values[At(i)], static_cast<float>(dot), bound)
            << "g=" << g << " i=" << i;
      }
    }
  }
}

void Zero(void* context, SsdSite site, int64_t, float* values, int64_t rows, int64_t cols) {
  if (site == *static_cast<const SsdSite*>(context)) std::fill(values, values + rows * cols, 0.0f);
}

TEST_P(SsdTaps, WhatTheyWriteIsWhatLaterStagesRead) {
  const auto run = [&](SsdSite site) {
    const SsdTap tap = {Zero, &site};
    SsdArgs args = problem_.Float();
    args.tap = &tap;
    problem_.Reset();
    RunKernel(args);
    return problem_.StateValues();
  };
  problem_.Reset();
  const std::vector<float> initial = problem_.StateValues();
  const SsdArgs args = problem_.Float();
  // Without X_s the state only decays.
  const std::vector<float> decayed = run(SsdSite::kXScaled);
  for (size_t i = 0; i < decayed.size(); ++i) {
    const int64_t head = static_cast<int64_t>(i) / (5 * 21);
    double sum = 0.0;
    for (int64_t t = 0; t < args.T; ++t) {
      sum += double{args.dt[t * args.H + head]} * args.A[head];
    }
    ASSERT_NEAR(decayed[i], initial[i] * std::exp(sum), 1e-5 * std::fabs(initial[i]));
  }
  EXPECT_EQ(run(SsdSite::kLocalState), decayed);
  // Without scores and entering state only D x is left; the carried state is not the tapped copy.
  const std::vector<float> kept = run(SsdSite::kState);
  problem_.Reset();
  RunKernel(args);
  EXPECT_EQ(kept, problem_.StateValues());
  run(SsdSite::kScore);
  const float decay = std::exp(args.dt[0] * args.A[0]);
  double carried = 0.0;
  for (int64_t n = 0; n < args.N; ++n) {
    carried += initial[At(n)] * BcValue(args, args.C, 0, 0, n);
  }
  EXPECT_NEAR(problem_.y()[0], decay * carried + double{args.D[0]} * args.x[0], 1e-5);
}

}  // namespace
}  // namespace octet
