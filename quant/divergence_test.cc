// Contracts of RowKl: the definition, also for logits far from 0; never negative; NaN and infinity
// give NaN, so that a broken candidate does not pass for a perfect one.
#include "quant/divergence.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"

namespace octet {
namespace {

using Floats = std::vector<float>;

double Plain(const Floats& a, const Floats& b) {
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

TEST(RowKlTest, IsTheDefinition) {
  Rng rng(4);
  for (const float spread : {0.01f, 1.0f, 20.0f}) {
    for (const float offset : {0.0f, -300.0f, 250.0f}) {
      Floats a(50), b(50);
      for (size_t i = 0; i < a.size(); ++i) {
        a[i] = offset + rng.Uniform(-spread, spread);
        b[i] = rng.Uniform(-spread, spread);
      }
      const double want = Plain(a, b);
      EXPECT_NEAR(RowKl(a.data(), b.data(), 50), want, 1e-9 + 1e-5 * want) << spread << offset;
      EXPECT_GE(RowKl(a.data(), a.data(), 50), 0);
      EXPECT_LT(RowKl(a.data(), a.data(), 50), 1e-12);
    }
  }
}

TEST(RowKlTest, ABrokenCandidateIsNotFree) {
  const Floats a = {1, 2, 3};
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const Floats b = {1, bad, 3};
    EXPECT_TRUE(std::isnan(RowKl(a.data(), b.data(), 3))) << bad;
  }
}

}  // namespace
}  // namespace octet
