// Contracts of base/logits.h:
// 1. LogSumExp equals the plain sum of exponentials where that does not overflow, and is exact
//    where it would.
// 2. Negative log-likelihoods are those of probabilities worked out by hand.
// 3. KL divergence: values by hand and by the definition, never negative, zero for rows that differ
//    by a constant; not finite for a row that is not, so that a broken candidate is not free.
//    Entropy is what is left of it for a uniform candidate.
// 4. The most likely token: ties go to the smaller id. NaN is not hidden.
#include "base/logits.h"

#include <gtest/gtest.h>

#include <rapidcheck/gtest.h>
#include <cmath>
#include <limits>
#include <vector>

#include "base/rng.h"

namespace octet {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();

std::vector<float> Row(const std::vector<int>& hundredths) {
  std::vector<float> row;
  for (const int v : hundredths) {
    row.push_back(static_cast<float>(v) / 100.0f);
  }
  return row;
}

RC_GTEST_PROP(LogSumExp, EqualsThePlainSumOfExponentials, ()) {
  const auto row =
      Row(*rc::gen::nonEmpty(rc::gen::container<std::vector<int>>(rc::gen::inRange(-3000, 3000))));
  long double sum = 0;
  for (const float v : row) {
    sum += std::exp(static_cast<long double>(v));
  }
  const double want = static_cast<double>(std::log(sum));
  // Each addition and exponential is off by at most kEps relative; the logarithm makes it absolute.
  const double bound = kEps * (4.0 * static_cast<double>(row.size()) + 2 * std::abs(want) + 4);
  RC_ASSERT(std::abs(LogSumExp(row) - want) <= bound);
}

TEST(LogSumExp, DoesNotOverflow) {
  const std::vector<float> large(1000, 1e4f), small(1000, -1e4f);
  EXPECT_DOUBLE_EQ(LogSumExp(large), 1e4 + std::log(1000.0));
  EXPECT_DOUBLE_EQ(LogSumExp(small), -1e4 + std::log(1000.0));
}

TEST(NegativeLogLikelihood, IsMinusTheLogOfTheProbability) {
  // Probabilities 0.7, 0.2, 0.1, as logits up to a constant.
  std::vector<float> row;
  for (const double p : {0.7, 0.2, 0.1}) {
    row.push_back(static_cast<float>(std::log(p) + 5));
  }
  const double want[] = {0.35667494393873245, 1.6094379124341003, 2.3025850929940455};
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(NegativeLogLikelihood(row, i), want[i], 1e-6) << i;  // logits are floats near 5
  }
}

TEST(CompareRows, GivesDivergencesWorkedOutByHand) {
  const std::vector<float> even = {0, 0};
  const std::vector<float> skewed = {static_cast<float>(std::log(0.9)),
                                     static_cast<float>(std::log(0.1))};
  // 0.5 ln(0.5 / 0.9) + 0.5 ln(0.5 / 0.1), and 0.9 ln(0.9 / 0.5) + 0.1 ln(0.1 / 0.5).
  EXPECT_NEAR(CompareRows(even, skewed, 0).kl, 0.5108256237659907, 1e-7);
  EXPECT_NEAR(CompareRows(skewed, even, 0).kl, 0.3680642071684971, 1e-7);
  const RowComparison r = CompareRows(even, skewed, 1);
  EXPECT_NEAR(r.reference_nll, std::log(2.0), 1e-15);
  EXPECT_NEAR(r.candidate_nll, std::log(10.0), 1e-7);
}

RC_GTEST_PROP(CompareRows, DivergenceIsNeverNegativeAndIgnoresAConstant, ()) {
  const int n = *rc::gen::inRange(1, 40);
  const auto values =
      rc::gen::container<std::vector<int>>(static_cast<size_t>(n), rc::gen::inRange(-2000, 2000));
  const auto a = Row(*values);
  const auto b = Row(*values);
  RC_ASSERT(CompareRows(a, b, 0).kl >= 0);
  std::vector<float> shifted = a;
  for (float& v : shifted) {
    v += 64.0f;  // rounds each value by at most 2^-18
  }
  RC_ASSERT(CompareRows(a, shifted, 0).kl >= 0);
  RC_ASSERT(CompareRows(a, shifted, 0).kl < 1e-9);
  RC_ASSERT(CompareRows(a, a, 0).kl == 0);
}

TEST(CompareRows, TiesGoToTheSmallerId) {
  const std::vector<float> tie = {1, 3, 3, 0}, first = {0, 5, 1, 1}, second = {0, 1, 5, 1};
  EXPECT_TRUE(CompareRows(tie, first, 0).same_top);
  EXPECT_FALSE(CompareRows(tie, second, 0).same_top);
}

TEST(CompareRows, DoesNotHideNaN) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> good = {1, 2, 3}, bad = {1, nan, 3};
  EXPECT_TRUE(std::isnan(CompareRows(good, bad, 0).kl));
  EXPECT_TRUE(std::isnan(CompareRows(good, bad, 0).candidate_nll));
  EXPECT_TRUE(std::isnan(CompareRows(bad, good, 0).reference_nll));
}

// By the definition.
double PlainKl(const std::vector<float>& a, const std::vector<float>& b) {
  long double za = 0, zb = 0, kl = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    za += std::exp(static_cast<long double>(a[i]));
    zb += std::exp(static_cast<long double>(b[i]));
  }
  for (size_t i = 0; i < a.size(); ++i) {
    const long double p = std::exp(static_cast<long double>(a[i])) / za;
    const long double q = std::exp(static_cast<long double>(b[i])) / zb;
    kl += p * std::log(p / q);
  }
  return static_cast<double>(kl);
}

TEST(KlDivergenceTest, IsTheDefinition) {
  Rng rng(4);
  for (const float spread : {0.01f, 1.0f, 20.0f}) {
    for (const float offset : {0.0f, -300.0f, 250.0f}) {
      std::vector<float> a(50), b(50);
      for (size_t i = 0; i < a.size(); ++i) {
        a[i] = offset + rng.Uniform(-spread, spread);
        b[i] = rng.Uniform(-spread, spread);
      }
      const double want = PlainKl(a, b);
      EXPECT_NEAR(KlDivergence(a, b), want, 1e-9 + 1e-5 * want) << spread << offset;
      EXPECT_GE(KlDivergence(a, a), 0);
      EXPECT_LT(KlDivergence(a, a), 1e-12);
    }
  }
}

TEST(EntropyTest, IsWhatTheDivergenceFromUniformLeaves) {
  Rng rng(5);
  std::vector<float> row(50);
  EXPECT_NEAR(Entropy(row), std::log(50), 1e-12);
  for (float& v : row) {
    v = rng.Uniform(-5, 5);
  }
  EXPECT_NEAR(Entropy(row), std::log(50) - PlainKl(row, std::vector<float>(50)), 1e-9);
  row[7] = 1000;  // certain
  EXPECT_NEAR(Entropy(row), 0, 1e-12);
}

TEST(KlDivergenceTest, ABrokenCandidateIsNotFree) {
  const std::vector<float> a = {1, 2, 3};
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    const std::vector<float> b = {1, bad, 3};
    EXPECT_FALSE(std::isfinite(KlDivergence(a, b))) << bad;
    EXPECT_FALSE(std::isfinite(KlDivergence(b, a))) << bad;
  }
}

}  // namespace
}  // namespace octet
