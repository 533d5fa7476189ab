// Contracts of the sweep over alpha: the plan that comes back differs from the given one in the
// percentiles alone, and its model has the lowest perplexity on the text among all choices, which
// are tried here one by one.
#include "quant/sweep.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "graph/mamba_block_testing.h"
#include "kernels/isa.h"
#include "quant/passes_testing.h"

namespace octet {
namespace {

TokenDataset Text() {
  TokenDataset data;
  Rng rng(3);
  for (int d = 0; d < 6; ++d) {
    data.documents.emplace_back(60);
    for (TokenId& id : data.documents.back()) {
      id = static_cast<TokenId>(rng.Below(11));
    }
  }
  return data;
}

double Perplexity(const QuantPlan& plan, const TokenDataset& data) {
  Graph graph = MakeMambaBlocks({});
  WeightMap weights = MakeMambaBlockWeights({}, 5);
  EXPECT_TRUE(RunPassesOn(PassesOf(plan), &graph, &weights, data).ok());
  const auto program = *Program::Lower(graph, weights, {AllowedIsas(), false});
  ThreadPool pool(1);
  ProgramWorkspace workspace(&pool);
  double total = 0, count = 0;
  for (const auto& document : data.documents) {
    State state(graph);
    std::vector<float> logits;
    EXPECT_TRUE(program
                    ->Run(document, &state, &workspace,
                          [&](int64_t, int64_t rows, const float* part) {
                            logits.insert(logits.end(), part, part + rows * 11);
                          })
                    .ok());
    for (size_t t = 0; t + 1 < document.size(); ++t) {
      double sum = 0;
      for (size_t v = 0; v < 11; ++v) {
        sum += std::exp(static_cast<double>(logits[t * 11 + v]));
      }
      const auto next = static_cast<size_t>(document[t + 1]);
      total += std::log(sum) - static_cast<double>(logits[t * 11 + next]);
      ++count;
    }
  }
  return std::exp(total / count);
}

TEST(SweepAlphaTest, TakesTheBestOfAll) {
  Json options = Json::MakeObject();
  options.Set("alpha", "auto");
  const QuantPlan plan = PlanRecipeNamed("quamba", options, Family::kMamba)->plan;
  ASSERT_TRUE(plan.sweep_alpha);
  ThreadPool pool(2);
  const Result<QuantPlan> best =
      SweepAlpha(plan, MakeMambaBlocks({}), MakeMambaBlockWeights({}, 5), Text(), &pool, {});
  ASSERT_TRUE(best.ok()) << best.status().message();
  double least = 1e9;
  QuantPlan want;
  std::vector<double> all;
  for (const char* alpha : {"1", "0.99999", "0.9999", "0.9995", "0.999"}) {
    options.Set("alpha", alpha);
    const QuantPlan candidate = PlanRecipeNamed("quamba", options, Family::kMamba)->plan;
    all.push_back(Perplexity(candidate, Text()));
    if (all.back() < least * (1 - 1e-12)) {
      least = all.back();
      want = candidate;
    }
  }
  EXPECT_EQ(*best, want);
  EXPECT_LT(least, *std::ranges::max_element(all)) << "alpha changes nothing here";
  EXPECT_NE(want, PlanRecipeNamed("quamba", options, Family::kMamba)->plan)
      << "the last tried would pass for the best";
}

}  // namespace
}  // namespace octet
