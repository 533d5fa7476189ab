// Contracts: tokens and where they are cut are those of lm-evaluation-harness; log-likelihoods
// agree with transformers; what the requests of an item share runs once without changing more than
// float rounding, and nothing where they have one context; what the harness stops at is an error.
#include "eval/requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "base/logits.h"
#include "eval/task_goldens.h"
#include "eval/test_model.h"

namespace octet {
namespace {

using testing::HasSubstr;

class RequestsTest : public testing::Test {
 protected:
  void SetUp() override {
    model_ = LoadBooks();
    ASSERT_NE(model_, nullptr);
    tokenizer_.emplace(*model_->tokenizer());
    prefix_ = *PrefixToken(*model_);
  }

  Request Encode(const Prompt& prompt) const {
    Result<Request> r = EncodeRequest(*tokenizer_, prefix_, prompt);
    EXPECT_TRUE(r.ok()) << r.status().message();
    return r.ok() ? *r : Request();
  }

  std::vector<Request> Encode(const TaskItem& item) const {
    std::vector<Request> requests;
    for (const Prompt& p : item.prompts) {
      requests.push_back(Encode(p));
    }
    return requests;
  }

  // From one call over the whole request.
  Score Alone(const Request& r) const {
    Session session(model_, std::make_shared<ThreadPool>(1));
    const size_t vocab = static_cast<size_t>(model_->vocab_rows());
    const int64_t inputs = std::ssize(r.tokens) - 1;
    Score score{0, true};
    const Status status = session.FeedAll(
        std::span(r.tokens).first(r.tokens.size() - 1),
        [&](int64_t first, int64_t rows, const float* logits) {
          for (int64_t i = 0; i < rows; ++i) {
            if (first + i < inputs - r.scored) continue;
            const std::span row(logits + static_cast<size_t>(i) * vocab, vocab);
            const TokenId target = r.tokens[static_cast<size_t>(first + i) + 1];
            score.log_likelihood -= NegativeLogLikelihood(row, target);
            score.is_greedy &= std::ranges::max_element(row) - row.begin() == target;
          }
        });
    EXPECT_TRUE(status.ok());
    return score;
  }

  std::shared_ptr<const Model> model_;
  std::optional<Tokenizer> tokenizer_;
  TokenId prefix_ = -1;
};

TEST_F(RequestsTest, TokensAreTheHarnesss) {
  for (const TaskSpec& task : AllTasks()) {
    const std::vector<TaskItem> items = ReadGoldenTask(task);
    const std::vector<Json> expected = GoldenItems(task);
    ASSERT_EQ(items.size(), expected.size());
    for (size_t i = 0; i < items.size(); ++i) {
      const std::vector<Request> requests = Encode(items[i]);
      for (size_t k = 0; k < requests.size(); ++k) {
        std::vector<TokenId> tokens;
        for (const Json& id : Array(expected[i], "tokens")[k].AsArray()) {
          tokens.push_back(static_cast<TokenId>(id.AsInt()));
        }
        EXPECT_EQ(requests[k].tokens, tokens) << task.name << " " << i << " choice " << k;
        EXPECT_EQ(requests[k].scored, Array(expected[i], "scored")[k].AsInt());
      }
    }
  }
}

TEST_F(RequestsTest, ScoresAreTransformerss) {
  // Both sum float logits of about 20 in different orders; the differences seen are 1e-5 a token.
  constexpr double kTolerance = 1e-3;
  Scorer scorer(model_, std::make_shared<ThreadPool>(1));
  int greedy = 0;
  for (const TaskSpec& task : AllTasks()) {
    const std::vector<TaskItem> items = ReadGoldenTask(task);
    const std::vector<Json> expected = GoldenItems(task);
    for (size_t i = 0; i < items.size(); ++i) {
      const auto scores = scorer.Run(Encode(items[i]));
      ASSERT_TRUE(scores.ok()) << scores.status().message();
      for (size_t k = 0; k < scores->size(); ++k) {
        const double want = *Array(expected[i], "loglikelihood")[k].AsNumber();
        EXPECT_NEAR((*scores)[k].log_likelihood, want, kTolerance) << task.name << " " << i;
        EXPECT_EQ((*scores)[k].is_greedy, Array(expected[i], "is_greedy")[k].AsBool());
        greedy += (*scores)[k].is_greedy;
      }
    }
  }
  EXPECT_GT(greedy, 0);
}

TEST_F(RequestsTest, SharedTokensChangeOnlyRounding) {
  // Positions are fed in other groups, so sums of floats differ; 1e-4 is 20 times what is seen.
  constexpr double kTolerance = 1e-4;
  const std::string context = "It was a dark night, and the old man never saw it. The old man";
  const std::vector<std::vector<Prompt>> items = {
      {{context, " saw"}, {context, " heard"}},                    // one token each
      {{context, " saw the sea"}, {context, " saw the sea"}},      // the same twice
      {{context, " saw"}, {context, " saw the sea and the sky"}},  // one begins the other
      {{context + " who saw it", " is here"}, {context, " is here"}, {"", " is here"}},
      {{"A", " b"}, {"B", " b"}},  // nothing in common
      {{"", " a"}, {"", " of the sea"}},
  };
  Scorer scorer(model_, std::make_shared<ThreadPool>(1));
  for (const std::vector<Prompt>& prompts : items) {
    const std::vector<Request> requests = Encode(TaskItem{prompts, {}, 0});
    const auto scores = scorer.Run(requests);
    ASSERT_TRUE(scores.ok());
    for (size_t k = 0; k < requests.size(); ++k) {
      const Score alone = Alone(requests[k]);
      EXPECT_NEAR((*scores)[k].log_likelihood, alone.log_likelihood, kTolerance);
      EXPECT_EQ((*scores)[k].is_greedy, alone.is_greedy);
    }
  }
  EXPECT_TRUE(scorer.Run({})->empty());
}

TEST_F(RequestsTest, OneContextChangesNothing) {
  const std::string context = "It was a dark night, and the old man never saw it. The old man";
  const std::vector<Request> requests =
      Encode(TaskItem{{{context, " saw"}, {context, " saw the sea"}, {context, " heard"}}, {}, 0});
  Scorer scorer(model_, std::make_shared<ThreadPool>(1));
  const auto together = scorer.Run(requests);
  ASSERT_TRUE(together.ok());
  for (size_t k = 0; k < requests.size(); ++k) {
    const auto alone = scorer.Run(std::span(requests).subspan(k, 1));
    ASSERT_TRUE(alone.ok());
    EXPECT_EQ((*together)[k].log_likelihood, (*alone)[0].log_likelihood);
  }
}

TEST_F(RequestsTest, ScoresDependOnTheItemAlone) {
  const std::vector<Request> a = Encode(ReadGoldenTask(*FindTask("hellaswag"))[0]);
  const std::vector<Request> b = Encode(ReadGoldenTask(*FindTask("winogrande"))[0]);
  Scorer first(model_, std::make_shared<ThreadPool>(1)),
      later(model_, std::make_shared<ThreadPool>(3));
  const auto want = first.Run(a);
  ASSERT_TRUE(later.Run(b).ok());
  const auto got = later.Run(a);
  ASSERT_TRUE(want.ok() && got.ok());
  for (size_t k = 0; k < a.size(); ++k) {
    EXPECT_EQ((*got)[k].log_likelihood, (*want)[k].log_likelihood);
  }
}

TEST_F(RequestsTest, AnEmptyContextIsTheEndOfText) {
  EXPECT_EQ(prefix_, 0);
  const Request r = Encode({"", "<|endoftext|> a"});
  EXPECT_EQ(r.tokens[0], 0);
  EXPECT_NE(r.tokens[1], 0);
  EXPECT_EQ(r.scored, std::ssize(r.tokens) - 1);
  EXPECT_THAT(EncodeRequest(*tokenizer_, {}, {"", " a"}).status().message(),
              HasSubstr("the context is empty"));
  EXPECT_EQ(*EncodeRequest(*tokenizer_, {}, {"The old", " man"}), Encode({"The old", " man"}));
}

TEST_F(RequestsTest, WhatTheHarnessStopsAt) {
  const auto error = [&](const Prompt& prompt) {
    const auto r = EncodeRequest(*tokenizer_, prefix_, prompt);
    EXPECT_EQ(r.status().code(), Code::kInvalidArgument);
    return r.ok() ? "" : r.status().message();
  };
  EXPECT_THAT(error({" \u2003 ", " a"}), HasSubstr("nothing but blanks"));
  EXPECT_THAT(error({"a", ""}), HasSubstr("no token is left"));
  EXPECT_THAT(error({"", ""}), HasSubstr("no token is left"));
  EXPECT_THAT(error({"", "<|endoftext|>"}), HasSubstr("no token is left"));
  std::string many;
  for (int i = 0; i <= kMaxRequestTokens; ++i) {
    many += " 7";
  }
  EXPECT_THAT(error({"a", many}), HasSubstr("2048 are possible"));
}

}  // namespace
}  // namespace octet
