// Contracts of eval/bench.h:
// 1. SpreadOf: median, minimum and maximum, of odd and even counts.
// 2. Bench measures what it is asked for, for each model, and says what the process used.
// 3. A slower model has the smaller number: tokens per second, not seconds.
// 4. Nothing to measure is refused.
#include "eval/bench.h"

#include <gtest/gtest.h>

#include "eval/test_model.h"
#include "runtime/session.h"

namespace octet {
namespace {

TEST(SpreadOf, GivesMedianAndExtremes) {
  const Spread odd = SpreadOf({3, 9, 1});
  EXPECT_EQ(odd.median, 3);
  EXPECT_EQ(odd.min, 1);
  EXPECT_EQ(odd.max, 9);
  EXPECT_EQ(SpreadOf({4, 1, 2, 10}).median, 3);
  EXPECT_EQ(SpreadOf({}).median, 0);
}

TEST(Bench, MeasuresEachModel) {
  const auto books = LoadBooks();
  const auto tiny = Model::Load("tests/golden/mamba2_g1", {});
  ASSERT_NE(books, nullptr);
  ASSERT_TRUE(tiny.ok()) << tiny.status().message();
  const std::shared_ptr<const Model> models[] = {books, *tiny};
  int64_t rounds = 0;
  const auto report = Bench(models, {64, 8, 3, 1, 0}, [&](std::string_view, int64_t done, int64_t) {
    rounds = std::max(rounds, done);
  });
  ASSERT_TRUE(report.ok()) << report.status().message();
  ASSERT_EQ(report->rows.size(), 2u);
  EXPECT_EQ(rounds, 3);
  for (size_t i = 0; i < 2; ++i) {
    const BenchRow& row = report->rows[i];
    for (const Spread& s : {row.prefill_tokens_per_s, row.decode_tokens_per_s}) {
      EXPECT_GT(s.min, 0);
      EXPECT_LE(s.min, s.median);
      EXPECT_LE(s.median, s.max);
      EXPECT_LT(s.min, s.max) << "three measurements, to the nanosecond";
    }
    EXPECT_EQ(row.state_bytes, Session(models[i], std::make_shared<ThreadPool>(1)).state().bytes());
  }
  // About 1000 times the multiply-adds per token.
  EXPECT_LT(report->rows[0].prefill_tokens_per_s.median,
            report->rows[1].prefill_tokens_per_s.median);
  EXPECT_GT(report->peak_rss_bytes, int64_t{1} << 20);
  EXPECT_GT(report->cpu_share, 0);
  EXPECT_LT(report->cpu_share, 1.5);
}

TEST(Bench, SkipsWhatIsNotWanted) {
  const std::shared_ptr<const Model> models[] = {LoadBooks()};
  ASSERT_NE(models[0], nullptr);
  const auto report = Bench(models, {0, 2, 1, 1, 0}, {});
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->rows[0].prefill_tokens_per_s.median, 0);
  EXPECT_GT(report->rows[0].decode_tokens_per_s.median, 0);
}

TEST(Bench, RefusesNothing) {
  const std::shared_ptr<const Model> models[] = {LoadBooks()};
  ASSERT_NE(models[0], nullptr);
  EXPECT_FALSE(Bench({}, {}, {}).ok());
  const BenchOptions nonsense[] = {
      {0, 0, 5, 1, 0}, {-1, 5, 5, 1, 0}, {5, 5, 0, 1, 0}, {5, 5, 1, 0, 0}};
  for (const BenchOptions& o : nonsense) {
    EXPECT_EQ(Bench(models, o, {}).status().code(), Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace octet
