// Contracts: McNemar's p is the exact binomial one; differences, flips and intervals are those of
// the same items; items that are not the same are refused.
#include "eval/paired.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace octet {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Sums of binomial coefficients in exact fractions; scipy.stats.binomtest has the same.
TEST(McNemarTest, IsTheBinomialTest) {
  EXPECT_EQ(McNemarExact(0, 0), 1);
  EXPECT_EQ(McNemarExact(3, 3), 1);
  EXPECT_NEAR(McNemarExact(0, 1), 1, 1e-12);
  EXPECT_NEAR(McNemarExact(0, 5), 0.0625, 1e-12);
  EXPECT_NEAR(McNemarExact(1, 9), 22.0 / 1024, 1e-12);
  EXPECT_EQ(McNemarExact(9, 1), McNemarExact(1, 9));
  EXPECT_NEAR(McNemarExact(120, 165), 0.009033430049835395, 1e-9);
  EXPECT_NEAR(McNemarExact(4900, 5100) / 0.04658552770494739, 1, 1e-8);
}

ItemResult Choice(const char* task, int64_t doc, int64_t gold, int64_t prediction,
                  double log_likelihood) {
  TaskItem item{{{"context", " a"}, {"context", " b"}, {"context", " c"}}, {1, 1, 1}, gold};
  std::vector<Score> scores(3, Score{-100, false});
  scores[static_cast<size_t>(gold)].log_likelihood = log_likelihood;
  if (prediction != gold) scores[static_cast<size_t>(prediction)].log_likelihood = -0.5;
  return Judge(*FindTask(task), item, doc, scores);
}

TEST(PairedTest, CountsFlipsAndDifferences) {
  const std::vector<ItemResult> baseline = {
      Choice("piqa", 0, 0, 0, -1),     Choice("piqa", 1, 1, 1, -2),
      Choice("piqa", 2, 2, 0, -3),     Choice("piqa", 3, 0, 1, -4),
      Choice("arc_easy", 0, 1, 1, -1), Choice("arc_easy", 1, 1, 1, -1)};
  const std::vector<ItemResult> candidate = {
      Choice("piqa", 0, 0, 0, -1.5), Choice("piqa", 1, 1, 2, -2.5), Choice("piqa", 2, 2, 1, -3),
      Choice("piqa", 3, 0, 2, -4), Choice("arc_easy", 1, 1, 0, -2)};
  const auto report = ComparePaired(baseline, candidate);
  ASSERT_TRUE(report.ok()) << report.status().message();
  ASSERT_EQ(report->tasks.size(), 2u);
  const PairedTask& t = report->tasks[0];
  EXPECT_EQ(t.task, FindTask("piqa"));
  EXPECT_EQ(t.items, 4);
  EXPECT_EQ(t.baseline, 0.5);
  EXPECT_EQ(t.candidate, 0.25);
  EXPECT_EQ(t.lost, 1);
  EXPECT_EQ(t.won, 0);
  EXPECT_EQ(t.changed, 3);
  EXPECT_EQ(t.p, 1);
  // Differences 0, -1, 0, 0: variance 1/4, standard error 1/4.
  EXPECT_DOUBLE_EQ(t.difference.value, -0.25);
  EXPECT_NEAR(t.difference.low, -0.25 - 1.959964 / 4, 1e-6);
  EXPECT_NEAR(t.difference.high, -0.25 + 1.959964 / 4, 1e-6);
  EXPECT_DOUBLE_EQ(t.log_likelihood.value, -0.25);
  EXPECT_EQ(report->tasks[1].items, 1);
  EXPECT_DOUBLE_EQ(report->average.value, -0.625);
  EXPECT_NEAR(report->average.high - report->average.value, 1.959964 / 8, 1e-6);
}

TEST(PairedTest, ItemsMustBeTheSame) {
  const std::vector<ItemResult> one = {Choice("piqa", 0, 0, 0, -1)};
  const std::vector<ItemResult> two = {Choice("piqa", 0, 0, 0, -1), Choice("piqa", 1, 0, 0, -1)};
  EXPECT_TRUE(ComparePaired(two, one).ok());
  EXPECT_THAT(ComparePaired(one, two).status().message(), HasSubstr("no item 1 of piqa"));
  std::vector<ItemResult> other = one;
  other[0].digest = "0123456789abcdef";
  EXPECT_THAT(ComparePaired(other, one).status().message(),
              AllOf(HasSubstr("item 0 of piqa"), HasSubstr("other data")));
  other = {Choice("piqa", 0, 1, 1, -1)};
  EXPECT_FALSE(ComparePaired(other, one).ok());
}

}  // namespace
}  // namespace octet
