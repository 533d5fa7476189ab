// Contracts of eval/drift.h:
// 1. Buckets double in length and cover the tokens; their numbers are those of the two models' own
//    logits and states, computed here from two sessions.
// 2. A finer format drifts less: i16 less than i8, and feedback less than plain codes.
// 3. An fp32 state, no tokens, a foreign token and a static format without scales are refused.
// 4. The number of threads does not change a bit.
#include "eval/drift.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/logits.h"
#include "eval/test_model.h"
#include "runtime/session.h"

namespace octet {
namespace {

using ::testing::HasSubstr;

class DriftTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(model_, nullptr); }
  std::shared_ptr<const Model> With(const char* format) const {
    return *WithState(*model_, *ParseStateFormat(format));
  }
  const std::shared_ptr<const Model> model_ = LoadBooks();
};

TEST_F(DriftTest, NumbersAreThoseOfTwoSessions) {
  const std::vector<TokenId> tokens = RandomTokens(*model_, 11, 3);
  const auto rounded = With("i8");
  std::vector<int64_t> done;
  const auto r = MeasureDrift(rounded, tokens, 1, [&](std::string_view, int64_t n, int64_t total) {
    EXPECT_EQ(total, 11);
    done.push_back(n);
  });
  ASSERT_TRUE(r.ok()) << r.status().message();
  EXPECT_EQ(done, std::vector<int64_t>{11});
  EXPECT_EQ(r->format, "i8");
  EXPECT_EQ(r->bytes, State(rounded->graph()).bytes());
  EXPECT_EQ(r->fp32_bytes, State(model_->graph()).bytes());
  ASSERT_EQ(r->buckets.size(), 5u);  // 1, 1, 2, 4, 3
  Session exact(model_, std::make_shared<ThreadPool>(1));
  Session other(rounded, std::make_shared<ThreadPool>(1));
  std::vector<float> want(static_cast<size_t>(model_->vocab_rows())), got = want;
  int64_t t = 0;
  for (const DriftBucket& b : r->buckets) {
    EXPECT_EQ(b.first, t);
    double kl = 0, same = 0, most = 0;
    for (; t < b.last; ++t) {
      ASSERT_TRUE(exact.Feed({&tokens[static_cast<size_t>(t)], 1}, want).ok());
      ASSERT_TRUE(other.Feed({&tokens[static_cast<size_t>(t)], 1}, got).ok());
      const RowComparison row = CompareRows(want, got, 0);
      kl += row.kl;
      most = std::max(most, row.kl);
      same += row.same_top;
    }
    const auto size = static_cast<double>(b.last - b.first);
    EXPECT_NEAR(b.kl_mean, kl / size, 1e-12);
    EXPECT_EQ(b.kl_max, most);
    EXPECT_NEAR(b.top1_agreement, same / size, 1e-12);
    double error = 0, power = 0;
    for (int layer = 0; layer < model_->graph().layers; ++layer) {
      const std::vector<float> h = exact.state().Values(layer), q = other.state().Values(layer);
      for (size_t i = 0; i < h.size(); ++i) {
        error += std::pow(static_cast<double>(q[i] - h[i]), 2);
        power += std::pow(static_cast<double>(h[i]), 2);
      }
    }
    EXPECT_NEAR(b.state_error, std::sqrt(error / power), 1e-6 * b.state_error);
  }
  EXPECT_EQ(t, 11);
}

TEST_F(DriftTest, FinerFormatsDriftLess) {
  const std::vector<TokenId> tokens = RandomTokens(*model_, 64, 4);
  const auto last = [&](const char* format) {
    return MeasureDrift(With(format), tokens, 1, {})->buckets.back();
  };
  const DriftBucket i8 = last("i8"), fed_back = last("i8+ef"), i16 = last("i16");
  EXPECT_LT(fed_back.state_error, i8.state_error / 4);
  EXPECT_LT(i16.state_error, fed_back.state_error / 4);
  EXPECT_LT(fed_back.kl_mean, i8.kl_mean / 4);
  EXPECT_GT(i16.state_error, 0);
  EXPECT_GT(last("i8+sr").state_error, i8.state_error / 2);
}

TEST_F(DriftTest, NonsenseIsRefused) {
  const std::vector<TokenId> tokens = RandomTokens(*model_, 4, 5);
  EXPECT_THAT(MeasureDrift(model_, tokens, 1, {}).status().message(), HasSubstr("no drift"));
  EXPECT_THAT(MeasureDrift(With("f16"), {}, 1, {}).status().message(), HasSubstr("no tokens"));
  const std::vector<TokenId> foreign = {static_cast<TokenId>(model_->vocab_rows())};
  EXPECT_THAT(MeasureDrift(With("f16"), foreign, 1, {}).status().message(),
              HasSubstr("outside the vocabulary"));
  EXPECT_THAT(WithState(*model_, *ParseStateFormat("i8s")).status().message(),
              HasSubstr("needs static scales"));
}

TEST_F(DriftTest, ThreadsChangeNoBit) {
  const std::vector<TokenId> tokens = RandomTokens(*model_, 20, 6);
  const auto one = MeasureDrift(With("i8+sr:9"), tokens, 1, {});
  const auto two = MeasureDrift(With("i8+sr:9"), tokens, 2, {});
  ASSERT_TRUE(one.ok() && two.ok());
  for (size_t i = 0; i < one->buckets.size(); ++i) {
    EXPECT_EQ(one->buckets[i].kl_mean, two->buckets[i].kl_mean);
    EXPECT_EQ(one->buckets[i].state_error, two->buckets[i].state_error);
  }
}

}  // namespace
}  // namespace octet
