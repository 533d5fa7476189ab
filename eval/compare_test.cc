// Contracts of eval/compare.h:
// 1. A model compared with itself: KL exactly 0, ratio exactly 1, full agreement.
// 2. Against a candidate whose logits are 0.8 times the reference's, every number equals one
//    computed from the reference's logits alone; for windows longer than a piece too.
// 3. The number of threads does not change a bit; vocabularies of different size, and logits that
//    are not finite, are refused.
// 4. Quantile interpolates; BootstrapMean: the interval has the width of the normal approximation
//    for independent values, is wider for values that repeat within a block, and has no width for
//    constants; deterministic.
// 5. CompareAll gives each candidate the report that Compare gives it alone, also with candidates
// of
//    other chunk sizes; window_kl are the windows' means. PairedDifference is the hand computation.
// 6. by_position: groups 0, 1, 2 to 3, ..., whose means make up those of the windows; only what is
//    scored; each perplexity is the exp of its mean log-likelihood, inside its interval.
#include "eval/compare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "eval/test_model.h"
#include "runtime/session.h"

namespace octet {
namespace {

constexpr double kTemperature = 0.8;

class CompareTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(model_, nullptr); }
  const std::shared_ptr<const Model> model_ = LoadBooks();

  // The final norm's weights times a factor: the logits times the factor, up to float rounding.
  std::shared_ptr<const Model> Scaled(float factor) {
    WeightMap weights = model_->weights();
    const Graph& graph = model_->graph();
    const std::string norm = graph.nodes[static_cast<size_t>(graph.logits) - 1].weights[0];
    std::vector<float> values = ToF32(*weights.Find(norm));
    for (float& v : values) {
      v *= factor;
    }
    weights.Set(norm, MakeWeight(values, {std::ssize(values)}));
    auto scaled = Model::Create(graph, weights, model_->config(), std::nullopt, {});
    EXPECT_TRUE(scaled.ok());
    return *scaled;
  }
};

TEST_F(CompareTest, WithItselfThereIsNoDifference) {
  const std::vector<TokenId> tokens = RandomTokens(*model_, 300, 1);
  const auto r = Compare(model_, model_, tokens, "t", {100, 100, 0, 2}, {});
  ASSERT_TRUE(r.ok()) << r.status().message();
  EXPECT_EQ(r->tokens, 297);
  EXPECT_EQ(r->kl_max, 0);
  EXPECT_EQ(r->kl_mean.value, 0);
  EXPECT_EQ(r->top1_agreement, 1);
  EXPECT_EQ(r->perplexity_ratio.value, 1);
  EXPECT_EQ(r->perplexity_ratio.low, 1);
  EXPECT_EQ(r->perplexity_ratio.high, 1);
}

// Sums over one window of the reference's logits and of kTemperature times them.
struct Expected {
  std::vector<double> kl;
  double reference_nll = 0, candidate_nll = 0;

  void AddWindow(const std::shared_ptr<const Model>& model, std::span<const TokenId> tokens) {
    Session session(model, std::make_shared<ThreadPool>(1));
    const size_t vocab = static_cast<size_t>(model->vocab_rows());
    const Status s = session.FeedAll(tokens, [&](int64_t first, int64_t rows, const float* logits) {
      for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
        const size_t p = static_cast<size_t>(first) + r;
        if (p + 1 == tokens.size()) continue;
        AddRow(std::span(logits + r * vocab, vocab), static_cast<size_t>(tokens[p + 1]));
      }
    });
    EXPECT_TRUE(s.ok());
  }

  void AddRow(std::span<const float> logits, size_t target) {
    std::vector<long double> p, q;
    for (const float v : logits) {
      p.push_back(std::exp(static_cast<long double>(v)));
      q.push_back(std::exp(static_cast<long double>(v) * kTemperature));
    }
    const long double sp = std::accumulate(p.begin(), p.end(), 0.0L);
    const long double sq = std::accumulate(q.begin(), q.end(), 0.0L);
    long double sum = 0;
    for (size_t i = 0; i < p.size(); ++i) {
      sum += p[i] / sp * std::log((p[i] / sp) / (q[i] / sq));
    }
    kl.push_back(static_cast<double>(sum));
    reference_nll -= static_cast<double>(std::log(p[target] / sp));
    candidate_nll -= static_cast<double>(std::log(q[target] / sq));
  }
};

TEST_F(CompareTest, EqualsWhatTheReferencesLogitsSay) {
  const std::vector<TokenId> tokens = RandomTokens(*model_, 650, 2);
  const auto r = Compare(model_, Scaled(kTemperature), tokens, "t", {300, 300, 0, 1}, {});
  ASSERT_TRUE(r.ok()) << r.status().message();
  Expected want;
  want.AddWindow(model_, std::span(tokens).subspan(0, 300));  // 256 and 44: two pieces
  want.AddWindow(model_, std::span(tokens).subspan(300, 300));
  const double n = static_cast<double>(want.kl.size());
  ASSERT_EQ(r->tokens, std::ssize(want.kl));
  // The candidate's logits are rounded to float after the scaling.
  EXPECT_NEAR(r->kl_mean.value, std::accumulate(want.kl.begin(), want.kl.end(), 0.0) / n, 1e-6);
  std::ranges::sort(want.kl);
  EXPECT_GT(r->kl_mean.value, 0.01) << "or this test would see nothing";
  EXPECT_NEAR(r->kl_max, want.kl.back(), 1e-5);
  EXPECT_NEAR(r->kl_p99, Quantile(want.kl, 0.99), 1e-5);
  EXPECT_NEAR(r->kl_p50, (want.kl[298] + want.kl[299]) / 2, 1e-5);
  EXPECT_NEAR(r->reference_perplexity, std::exp(want.reference_nll / n),
              1e-5 * r->reference_perplexity);
  EXPECT_NEAR(r->perplexity_ratio.value, std::exp((want.candidate_nll - want.reference_nll) / n),
              1e-5);
  EXPECT_DOUBLE_EQ(r->top1_agreement, 1);
  EXPECT_LT(r->kl_mean.low, r->kl_mean.value);
  EXPECT_GT(r->kl_mean.high, r->kl_mean.value);
  EXPECT_LT(r->perplexity_ratio.low, r->perplexity_ratio.value);
  EXPECT_GT(r->perplexity_ratio.high, r->perplexity_ratio.value);
}

TEST_F(CompareTest, DoesNotDependOnThreads) {
  const std::vector<TokenId> tokens = RandomTokens(*model_, 400, 3);
  const auto candidate = Scaled(0.9f);
  const auto one = Compare(model_, candidate, tokens, "t", {100, 60, 0, 1}, {});
  const auto many = Compare(model_, candidate, tokens, "t", {100, 60, 0, 3}, {});
  ASSERT_TRUE(one.ok() && many.ok());
  EXPECT_EQ(one->kl_mean.value, many->kl_mean.value);
  EXPECT_EQ(one->kl_mean.low, many->kl_mean.low);
  EXPECT_EQ(one->kl_p99, many->kl_p99);
  EXPECT_EQ(one->perplexity_ratio.high, many->perplexity_ratio.high);
}

TEST_F(CompareTest, RefusesLogitsThatAreNotFinite) {
  const std::vector<TokenId> tokens = RandomTokens(*model_, 50, 5);
  const auto broken = Scaled(std::numeric_limits<float>::infinity());
  const auto candidate = Compare(model_, broken, tokens, "t", {50, 50, 0, 1}, {});
  ASSERT_FALSE(candidate.ok());
  EXPECT_EQ(candidate.status().code(), Code::kInternal);
  EXPECT_NE(candidate.status().message().find("candidate"), std::string::npos);
  const auto reference = Compare(broken, model_, tokens, "t", {50, 50, 0, 1}, {});
  ASSERT_FALSE(reference.ok());
  EXPECT_NE(reference.status().message().find("reference"), std::string::npos);
}

TEST_F(CompareTest, RefusesDifferentVocabularies) {
  const auto other = Model::Load("tests/golden/mamba2_g1", {});
  ASSERT_TRUE(other.ok()) << other.status().message();
  ASSERT_NE((*other)->vocab_rows(), model_->vocab_rows());
  const auto r = Compare(model_, *other, RandomTokens(**other, 100, 4), "t", {50, 50, 0, 1}, {});
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.status().code(), Code::kInvalidArgument);
}

TEST_F(CompareTest, OfSeveralEqualsCompareOfEach) {
  ModelOptions chunks;
  chunks.chunk_size = 64;
  const auto other = Model::Load("models/books-mamba2-5m", chunks);
  ASSERT_TRUE(other.ok()) << other.status().message();
  const std::vector<std::shared_ptr<const Model>> candidates = {Scaled(0.8f), *other, Scaled(0.5f)};
  const std::vector<TokenId> tokens = RandomTokens(*model_, 700, 2);
  const WindowOptions options = {300, 300, 0, 2};
  const auto all = CompareAll(model_, candidates, tokens, "t", options, {});
  ASSERT_TRUE(all.ok()) << all.status().message();
  ASSERT_EQ(all->size(), 3u);
  for (size_t i = 0; i < candidates.size(); ++i) {
    const auto alone = Compare(model_, candidates[i], tokens, "t", options, {});
    ASSERT_TRUE(alone.ok());
    const CompareReport& r = (*all)[i];
    EXPECT_EQ(r.kl_mean.value, alone->kl_mean.value) << i;
    EXPECT_EQ(r.top1_agreement, alone->top1_agreement) << i;
    EXPECT_EQ(r.window_kl, alone->window_kl) << i;
    ASSERT_EQ(r.window_kl.size(), 2u);
    EXPECT_NEAR((r.window_kl[0] + r.window_kl[1]) / 2, r.kl_mean.value, 1e-12) << i;
  }
  EXPECT_GT((*all)[2].kl_mean.value, 2 * (*all)[0].kl_mean.value);
}

TEST_F(CompareTest, ByPositionMakesUpTheWindows) {
  const std::vector<TokenId> tokens = RandomTokens(*model_, 400, 6);
  const auto r = Compare(model_, Scaled(0.8f), tokens, "t", {100, 100, 0, 2}, {});
  ASSERT_TRUE(r.ok()) << r.status().message();
  const std::vector<int64_t> ends = {1, 2, 4, 8, 16, 32, 64, 99};
  ASSERT_EQ(r->by_position.size(), ends.size());
  double sum = 0;
  for (size_t i = 0; i < ends.size(); ++i) {
    const PositionKl& p = r->by_position[i];
    EXPECT_EQ(p.first, i == 0 ? 0 : ends[i - 1]);
    EXPECT_EQ(p.last, ends[i]);
    EXPECT_LE(p.kl.low, p.kl.value);
    EXPECT_GE(p.kl.high, p.kl.value);
    sum += p.kl.value * static_cast<double>(p.last - p.first);
  }
  EXPECT_NEAR(sum / 99, r->kl_mean.value, 1e-12);
  // Scaled logits are wrong from the first token on; a window of one group has its value.
  const auto first =
      Compare(model_, Scaled(0.8f), std::span(tokens).first(2), "t", {2, 2, 0, 1}, {});
  ASSERT_TRUE(first.ok());
  ASSERT_EQ(first->by_position.size(), 1u);
  EXPECT_EQ(first->by_position[0].kl.value, first->kl_mean.value);
}

TEST_F(CompareTest, ByPositionLeavesOutWhatIsNotScored) {
  const std::vector<TokenId> tokens = RandomTokens(*model_, 180, 7);
  const auto candidate = Scaled(0.8f);
  const auto whole = Compare(model_, candidate, tokens, "t", {100, 20, 0, 1}, {});
  ASSERT_TRUE(whole.ok()) << whole.status().message();
  // Windows after the first score positions 79 to 98 only.
  ASSERT_EQ(whole->by_position.size(), 8u);
  const auto alone =
      Compare(model_, candidate, std::span(tokens).first(100), "t", {100, 100, 0, 1}, {});
  ASSERT_TRUE(alone.ok());
  EXPECT_EQ(whole->by_position[6].kl.value, alone->by_position[6].kl.value);
  EXPECT_NE(whole->by_position[7].kl.value, alone->by_position[7].kl.value);
  for (const Estimate* e : {&whole->reference_nll, &whole->candidate_nll}) {
    EXPECT_LT(e->low, e->value);
    EXPECT_GT(e->high, e->value);
  }
  EXPECT_DOUBLE_EQ(std::exp(whole->candidate_nll.value), whole->candidate_perplexity);
}

TEST(PairedDifference, IsTheHandComputation) {
  // Differences 1, 1, 1, 1: drawing windows changes nothing, however different the windows are.
  const Estimate steady =
      PairedDifference(std::vector<double>{2, 11, 102, 5}, std::vector<double>{1, 10, 101, 4});
  EXPECT_EQ(steady.value, 1);
  EXPECT_EQ(steady.low, 1);
  EXPECT_EQ(steady.high, 1);
  // Differences -1 and 3, half of each among 64: mean 1, standard deviation 2, standard error 1/4.
  std::vector<double> a, b;
  for (int i = 0; i < 64; ++i) {
    b.push_back(10.0 * i);
    a.push_back(b.back() + (i % 2 == 0 ? -1 : 3));
  }
  const Estimate e = PairedDifference(a, b);
  EXPECT_DOUBLE_EQ(e.value, 1);
  EXPECT_NEAR(e.low, 1 - 1.96 / 4, 0.06);
  EXPECT_NEAR(e.high, 1 + 1.96 / 4, 0.06);
}

TEST(Quantile, Interpolates) {
  const std::vector<double> v = {1, 2, 4, 8, 16};
  EXPECT_EQ(Quantile(v, 0), 1);
  EXPECT_EQ(Quantile(v, 0.5), 4);
  EXPECT_EQ(Quantile(v, 1), 16);
  EXPECT_DOUBLE_EQ(Quantile(v, 0.9), 8 + 0.6 * 8);
  EXPECT_EQ(Quantile(std::vector<double>{3}, 0.99), 3);
}

TEST(BootstrapMean, HasTheWidthOfTheNormalApproximation) {
  Rng rng(5);
  std::vector<double> independent, repeated;
  for (int i = 0; i < 6400; ++i) {
    independent.push_back(rng.Uniform());
    repeated.push_back(i % 64 == 0 ? rng.Uniform() : repeated.back());
  }
  // Variance of a uniform number: 1 / 12.
  const double width = 2 * 1.96 * std::sqrt(1.0 / 12 / 6400);
  const Estimate e = BootstrapMean(independent, 64, 1);
  // 100 blocks give the standard error to 7 %, 2000 resamples the quantiles to 3 %.
  EXPECT_NEAR(e.high - e.low, width, 0.25 * width);
  EXPECT_NEAR(e.value, 0.5, 4 * width);
  EXPECT_LE(e.low, e.value);
  EXPECT_GE(e.high, e.value);
  // 64 copies of one number carry the information of one.
  const Estimate r = BootstrapMean(repeated, 64, 1);
  EXPECT_NEAR(r.high - r.low, 8 * width, 0.25 * 8 * width);
}

TEST(BootstrapMean, OfConstantsHasNoWidth) {
  const std::vector<double> constant(130, 0.25);
  const Estimate e = BootstrapMean(constant, 64, 1);
  EXPECT_EQ(e.value, 0.25);
  EXPECT_EQ(e.low, 0.25);
  EXPECT_EQ(e.high, 0.25);
}

TEST(BootstrapMean, WeighsAShortLastBlockByItsLength) {
  // 64 zeros and 6 ones: resamples of two blocks have means 0, 6/70 or 1.
  std::vector<double> values(64, 0.0);
  values.resize(70, 1.0);
  const Estimate e = BootstrapMean(values, 64, 1);
  EXPECT_DOUBLE_EQ(e.value, 6.0 / 70);
  EXPECT_EQ(e.low, 0);
  EXPECT_EQ(e.high, 1);
}

}  // namespace
}  // namespace octet
