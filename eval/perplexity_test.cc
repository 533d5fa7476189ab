// Contracts of eval/perplexity.h:
// 1. The mean negative log-likelihood equals that of feeding each window token by token and
//    summing probabilities without any trick; for GPTQ's protocol and for a stride.
// 2. Bits per byte count the bytes of the scored tokens.
// 3. StridedPerplexity weighs windows as the guide does; DocumentPerplexity scores every token of a
//    document after the end-of-text token, and divides by what it is told.
//    tests/perplexity_truth_test.cc compares both with the programs that they follow.
// 4. The number of threads does not change a bit.
// 5. A text shorter than a window is refused; logits that are not finite are an error.
#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "eval/requests.h"
#include "eval/test_model.h"
#include "runtime/session.h"

namespace octet {
namespace {

// Total over the predictions of tokens [from, to) of a window that starts at `begin`.
double NaiveNll(const std::shared_ptr<const Model>& model, const std::vector<TokenId>& tokens,
                size_t begin, size_t from, size_t to) {
  Session session(model, std::make_shared<ThreadPool>(1));
  std::vector<float> logits(static_cast<size_t>(model->vocab_rows()));
  long double total = 0;
  for (size_t t = begin; t + 1 < to; ++t) {
    EXPECT_TRUE(session.Feed(std::span(tokens).subspan(t, 1), logits).ok());
    if (t + 1 < from) continue;
    long double sum = 0;
    for (const float v : logits) {
      sum += std::exp(static_cast<long double>(v));
    }
    total -= std::log(
        std::exp(static_cast<long double>(logits[static_cast<size_t>(tokens[t + 1])])) / sum);
  }
  return static_cast<double>(total);
}

// Feeding token by token differs from prefill in float rounding: logits of size about 10, a few
// hundred operations deep.
constexpr double kFloatNoise = 1e-4;

class PerplexityTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(model_, nullptr); }
  const std::shared_ptr<const Model> model_ = LoadBooks();
};

TEST_F(PerplexityTest, EqualsTokenByTokenInGptqsProtocol) {
  const std::vector<TokenId> tokens = RandomTokens(*model_, 110, 1);
  const auto report = Perplexity(model_, tokens, "t", {50, 50, 0, 1}, {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->windows, 2);
  EXPECT_EQ(report->tokens, 98);
  const double total = NaiveNll(model_, tokens, 0, 1, 50) + NaiveNll(model_, tokens, 50, 51, 100);
  EXPECT_NEAR(report->nll_per_token, total / 98, kFloatNoise);
  EXPECT_DOUBLE_EQ(report->perplexity, std::exp(report->nll_per_token));
}

TEST_F(PerplexityTest, EqualsTokenByTokenWithAStride) {
  const std::vector<TokenId> tokens = RandomTokens(*model_, 110, 2);
  const auto report = Perplexity(model_, tokens, "t", {50, 30, 0, 1}, {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->windows, 3);
  EXPECT_EQ(report->tokens, 49 + 30 + 30);
  const double total = NaiveNll(model_, tokens, 0, 1, 50) + NaiveNll(model_, tokens, 30, 50, 80) +
                       NaiveNll(model_, tokens, 60, 80, 110);
  EXPECT_NEAR(report->nll_per_token, total / 109, kFloatNoise);
}

TEST_F(PerplexityTest, StridedWeighsMeansAsTheGuide) {
  const std::vector<TokenId> tokens = RandomTokens(*model_, 95, 6);
  const auto report = StridedPerplexity(model_, tokens, "t", {50, 30, 0, 1}, {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->windows, 3);
  EXPECT_EQ(report->tokens, 94);
  // Windows [0, 50), [30, 80) and [60, 95): of 49, 30 and 15 tokens.
  const double first = NaiveNll(model_, tokens, 0, 1, 50) / 49,
               second = NaiveNll(model_, tokens, 30, 50, 80) / 30,
               third = NaiveNll(model_, tokens, 60, 80, 95) / 15;
  EXPECT_NEAR(report->nll_per_token, (49 * first + 29 * second + 14 * third) / (49 + 29 + 14),
              kFloatNoise);
  EXPECT_DOUBLE_EQ(report->perplexity, std::exp(report->nll_per_token));
}

TEST_F(PerplexityTest, DocumentsAreScoredWhole) {
  const auto tokenizer = model_->tokenizer();
  const std::vector<ScoredDocument> documents = {
      {"It was a dark night.", 5, 20}, {"The old man never saw it, nor did he hear it.", 11, 46}};
  const TokenId prefix = *PrefixToken(*model_);
  EXPECT_EQ(prefix, *tokenizer->Find("<|endoftext|>"));
  const auto report = DocumentPerplexity(model_, documents, 8, 1, {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  double total = 0;
  int64_t count = 0, windows = 0;
  for (size_t d = 0; d < documents.size(); ++d) {
    std::vector<TokenId> tokens = tokenizer->Encode(documents[d].text);
    tokens.insert(tokens.begin(), prefix);
    double own = 0;
    for (size_t scored = 1; scored < tokens.size(); ++windows) {
      const size_t end = std::min(scored + 8, tokens.size());
      own += NaiveNll(model_, tokens, end < 9 ? 0 : end - 9, scored, end);
      scored = end;
    }
    EXPECT_NEAR(report->log_likelihoods[d], -own, kFloatNoise * static_cast<double>(tokens.size()));
    total += own;
    count += std::ssize(tokens) - 1;
  }
  EXPECT_GT(windows, 2) << "more than a window";
  EXPECT_EQ(report->windows, windows);
  EXPECT_EQ(report->tokens, count);
  EXPECT_NEAR(std::log(report->word_perplexity), total / 16, 0.01);
  EXPECT_NEAR(std::log(report->byte_perplexity), total / 66, 0.002);
  EXPECT_DOUBLE_EQ(report->bits_per_byte, std::log2(report->byte_perplexity));
  EXPECT_EQ(DocumentPerplexity(model_, {}, 8, 1, {}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(DocumentPerplexity(model_, documents, 0, 1, {}).status().code(),
            Code::kInvalidArgument);
}

TEST_F(PerplexityTest, BitsPerByteCountTheScoredText) {
  const std::string text = "It was a dark night, and the old man never saw it. \xC3\xA9t\xC3\xA9.";
  const auto tokenizer = model_->tokenizer();
  ASSERT_TRUE(tokenizer.ok());
  const std::vector<TokenId> tokens = tokenizer->Encode(text);
  const int64_t n = std::ssize(tokens);
  const auto report = Perplexity(model_, tokens, "t", {n, n, 0, 1}, {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  const double bytes = static_cast<double>(text.size() - tokenizer->Bytes(tokens[0]).size());
  const double bits = report->nll_per_token * static_cast<double>(n - 1) / 0.69314718055994531;
  EXPECT_NEAR(report->bits_per_byte, bits / bytes, 1e-12);
  // The model knows English: far better than chance among 4096 tokens.
  EXPECT_LT(report->perplexity, 1000);
}

TEST_F(PerplexityTest, DoesNotDependOnThreads) {
  const std::vector<TokenId> tokens = RandomTokens(*model_, 600, 3);
  const auto one = Perplexity(model_, tokens, "t", {100, 100, 0, 1}, {});
  ASSERT_TRUE(one.ok());
  for (const int threads : {2, 3, 16}) {  // 16: more than windows, the other way of sharing work
    const auto many = Perplexity(model_, tokens, "t", {100, 100, 0, threads}, {});
    ASSERT_TRUE(many.ok());
    EXPECT_EQ(one->nll_per_token, many->nll_per_token) << threads;
    EXPECT_EQ(one->bits_per_byte, many->bits_per_byte) << threads;
    EXPECT_EQ(StridedPerplexity(model_, tokens, "t", {100, 70, 0, 1}, {})->nll_per_token,
              StridedPerplexity(model_, tokens, "t", {100, 70, 0, threads}, {})->nll_per_token);
    const std::vector<ScoredDocument> documents(5, {"It was a dark night, and cold.", 7, 30});
    EXPECT_EQ(DocumentPerplexity(model_, documents, 4, 1, {})->bits_per_byte,
              DocumentPerplexity(model_, documents, 4, threads, {})->bits_per_byte);
  }
}

TEST_F(PerplexityTest, RefusesAShortText) {
  const auto report =
      Perplexity(model_, RandomTokens(*model_, 99, 4), "f.txt", {100, 100, 0, 1}, {});
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.status().code(), Code::kInvalidArgument);
  EXPECT_NE(report.status().message().find("f.txt"), std::string::npos);
}

TEST_F(PerplexityTest, RefusesLogitsThatAreNotFinite) {
  WeightMap weights = model_->weights();
  const Graph& graph = model_->graph();
  const std::string norm = graph.nodes[static_cast<size_t>(graph.logits) - 1].weights[0];
  std::vector<float> values = ToF32(*weights.Find(norm));
  values[7] = std::numeric_limits<float>::infinity();
  weights.Set(norm, MakeWeight(values, {std::ssize(values)}));
  const auto broken = Model::Create(graph, weights, model_->config(), std::nullopt, {});
  ASSERT_TRUE(broken.ok()) << broken.status().message();
  const auto report = Perplexity(*broken, RandomTokens(*model_, 50, 5), "t", {50, 50, 0, 1}, {});
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.status().code(), Code::kInternal);
}

}  // namespace
}  // namespace octet
