// Contracts of eval/context.h:
// 1. Segments are stretches of one document and of exactly one length; where there is none, the
//    file and its longest document are named.
// 2. Buckets grow, or are equal, and cover the tokens; their numbers are those of sessions that
//    read a segment token by token, in double precision.
// 3. An interval holds its estimate, has no width where all segments are the same, and is left out
//    of fewer than six segments.
// 4. Without a reference the perplexities are the same; the number of threads changes no bit.
// 5. Nonsense, segments of another length and other vocabularies are refused.
#include "eval/context.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/logits.h"
#include "eval/drift.h"
#include "eval/test_model.h"
#include "runtime/session.h"

namespace octet {
namespace {

using testing::HasSubstr;

// Read token by token or in pieces, logits of size about 10 differ in float rounding.
constexpr double kFloatNoise = 1e-4;

class ContextTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(model_, nullptr);
    narrow_ = *WithState(*model_, *ParseStateFormat("i16"));
    for (int i = 0; i < 6; ++i) {
      segments_.push_back(RandomTokens(*model_, 301, static_cast<uint64_t>(i) + 1));
    }
  }

  // -log p of every prediction of a segment.
  static std::vector<double> Nlls(const std::shared_ptr<const Model>& model,
                                  const TokenDocument& segment) {
    Session session(model, std::make_shared<ThreadPool>(1));
    std::vector<float> logits(static_cast<size_t>(model->vocab_rows()));
    std::vector<double> nlls;
    for (size_t t = 0; t + 1 < segment.size(); ++t) {
      EXPECT_TRUE(session.Feed({&segment[t], 1}, logits).ok());
      long double sum = 0;
      for (const float v : logits) {
        sum += std::exp(static_cast<long double>(v));
      }
      nlls.push_back(static_cast<double>(
          std::log(sum) - static_cast<long double>(logits[static_cast<size_t>(segment[t + 1])])));
    }
    return nlls;
  }

  const std::shared_ptr<const Model> model_ = LoadBooks();
  std::shared_ptr<const Model> narrow_;
  std::vector<TokenDocument> segments_;
};

TEST_F(ContextTest, NumbersAreThoseOfSessions) {
  const auto report = MeasureContext(narrow_, model_, segments_, {300, 0, 1}, {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_TRUE(report->has_reference);
  EXPECT_TRUE(report->has_intervals);
  EXPECT_EQ(report->segments, 6);
  ASSERT_EQ(report->buckets.size(), 4u);
  const int64_t ends[] = {64, 128, 256, 300};
  std::vector<std::vector<double>> nlls;
  for (const TokenDocument& s : segments_) {
    nlls.push_back(Nlls(model_, s));
  }
  for (size_t i = 0; i < 4; ++i) {
    const ContextBucket& b = report->buckets[i];
    EXPECT_EQ(b.first, i == 0 ? 0 : ends[i - 1]);
    EXPECT_EQ(b.last, ends[i]);
    double sum = 0;
    for (const auto& n : nlls) {
      for (int64_t p = b.first; p < b.last; ++p) {
        sum += n[static_cast<size_t>(p)];
      }
    }
    const double want = sum / static_cast<double>(6 * (b.last - b.first));
    EXPECT_NEAR(std::log(b.reference_perplexity.value), want, kFloatNoise);
    EXPECT_NEAR(std::log(b.perplexity.value / b.reference_perplexity.value),
                std::log(b.ratio.value), 1e-9);
    // A narrow state is rounded between the pieces that a prompt is read in, here of 256 tokens.
    EXPECT_EQ(b.ratio.value != 1, b.first >= 256);
    EXPECT_EQ(b.kl.value > 0, b.first >= 256);
    EXPECT_NEAR(b.ratio.value, 1, 1e-3) << "16 bits";
    EXPECT_LT(b.kl.value, 1e-5);
    for (const Estimate& e : {b.perplexity, b.reference_perplexity, b.ratio, b.kl}) {
      EXPECT_LE(e.low, e.value);
      EXPECT_GE(e.high, e.value);
    }
    EXPECT_LT(b.perplexity.low, b.perplexity.high);
  }
}

TEST_F(ContextTest, TheStateIsCarriedToTheEnd) {
  // The last token of a text that repeats itself is foreseen, but only with what was read before.
  TokenDocument repeated;
  const std::vector<TokenId> part = RandomTokens(*model_, 100, 9);
  for (int i = 0; i < 6; ++i) {
    repeated.insert(repeated.end(), part.begin(), part.end());
  }
  const auto report = MeasureContext(model_, nullptr, {&repeated, 1}, {599, 300, 1}, {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  const std::vector<double> nlls = Nlls(model_, repeated);
  double sum = 0;
  for (size_t p = 300; p < 599; ++p) {
    sum += nlls[p];
  }
  EXPECT_NEAR(std::log(report->buckets[1].perplexity.value), sum / 299, kFloatNoise);
}

TEST_F(ContextTest, EqualBucketsAndSegmentsWithoutSpread) {
  const std::vector<TokenDocument> same(6, segments_[0]);
  const auto report = MeasureContext(narrow_, model_, same, {300, 140, 1}, {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  ASSERT_EQ(report->buckets.size(), 3u);
  EXPECT_EQ(report->buckets[1].first, 140);
  EXPECT_EQ(report->buckets[2].first, 280);
  EXPECT_EQ(report->buckets[2].last, 300);
  for (const ContextBucket& b : report->buckets) {
    EXPECT_DOUBLE_EQ(b.ratio.low, b.ratio.high);
    EXPECT_DOUBLE_EQ(b.ratio.low, b.ratio.value);
  }
}

TEST_F(ContextTest, FewSegmentsHaveNoIntervals) {
  for (const size_t n : {size_t{1}, size_t{5}}) {
    const auto report =
        MeasureContext(narrow_, model_, std::span(segments_).first(n), {300, 0, 1}, {});
    ASSERT_TRUE(report.ok()) << report.status().message();
    EXPECT_FALSE(report->has_intervals);
    for (const ContextBucket& b : report->buckets) {
      for (const Estimate& e : {b.perplexity, b.reference_perplexity, b.ratio, b.kl}) {
        EXPECT_EQ(e.low, e.value);
        EXPECT_EQ(e.high, e.value);
      }
    }
  }
}

TEST_F(ContextTest, ReferenceAndThreadsChangeNothing) {
  const auto both = MeasureContext(narrow_, model_, segments_, {300, 0, 1}, {});
  const auto alone = MeasureContext(narrow_, nullptr, segments_, {300, 0, 1}, {});
  ASSERT_TRUE(both.ok() && alone.ok());
  EXPECT_FALSE(alone->has_reference);
  for (const int threads : {2, 5}) {
    const auto many = MeasureContext(narrow_, model_, segments_, {300, 0, threads}, {});
    ASSERT_TRUE(many.ok());
    for (size_t i = 0; i < both->buckets.size(); ++i) {
      const ContextBucket &a = both->buckets[i], &b = many->buckets[i];
      EXPECT_EQ(a.perplexity.value, b.perplexity.value);
      EXPECT_EQ(a.ratio.low, b.ratio.low);
      EXPECT_EQ(a.kl.high, b.kl.high);
      // Pieces of another length are other float rounding.
      EXPECT_NEAR(a.perplexity.value, alone->buckets[i].perplexity.value,
                  kFloatNoise * a.perplexity.value);
    }
  }
}

TEST_F(ContextTest, SegmentsLieWithinDocuments) {
  const auto tokenizer = model_->tokenizer();
  ASSERT_TRUE(tokenizer.ok());
  std::string lines, text;
  for (int i = 0; i < 10; ++i) {
    lines += "It was a dark night, and the old man never saw it.\n";
  }
  text = "The rain." + std::string("<|endoftext|>") + lines + "<|endoftext|>" + lines + lines;
  const TextFile file{"a.txt", text, {"The rain.", lines, lines + lines}};
  const std::vector<TokenId> tokens = tokenizer->Encode(lines + lines);
  const int64_t length = std::ssize(tokens) / 2;
  const auto cut = CutSegments(file, *tokenizer, 10, length);
  ASSERT_TRUE(cut.ok()) << cut.status().message();
  ASSERT_EQ(cut->size(), 3u) << "one of the second document, two of the third";
  EXPECT_EQ((*cut)[1], TokenDocument(tokens.begin(), tokens.begin() + length));
  EXPECT_EQ((*cut)[2], TokenDocument(tokens.begin() + length, tokens.begin() + 2 * length));
  EXPECT_EQ(CutSegments(file, *tokenizer, 2, length)->size(), 2u);
  const auto none = CutSegments(file, *tokenizer, 2, 3000).status();
  EXPECT_EQ(none.code(), Code::kInvalidArgument);
  EXPECT_EQ(none.message(),
            "a.txt: no document has 3000 tokens; the longest has " + std::to_string(tokens.size()));
}

TEST_F(ContextTest, NonsenseIsRefused) {
  const auto message = [&](std::span<const TokenDocument> segments, const ContextOptions& o) {
    const Status s = MeasureContext(model_, nullptr, segments, o, {}).status();
    EXPECT_EQ(s.code(), Code::kInvalidArgument);
    return s.message();
  };
  EXPECT_THAT(message({}, {300, 0, 1}), HasSubstr("no text"));
  EXPECT_THAT(message(segments_, {0, 0, 1}), HasSubstr("at least one token"));
  EXPECT_THAT(message(segments_, {300, -1, 1}), HasSubstr("at least one"));
  EXPECT_THAT(message(segments_, {299, 0, 1}), HasSubstr("has 301 tokens, not 300"));
  const auto tiny = Model::Load("tests/golden/mamba2_g1", {});
  ASSERT_TRUE(tiny.ok()) << tiny.status().message();
  EXPECT_THAT(MeasureContext(*tiny, model_, segments_, {300, 0, 1}, {}).status().message(),
              HasSubstr("vocabularies of 4096 and 97"));
}

}  // namespace
}  // namespace octet
