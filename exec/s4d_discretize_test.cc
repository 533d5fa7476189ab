// Contracts:
//  1. Both discretizations equal the matrix forms of the paper, written with series and solves that
//     share nothing with the code; every form of the real part has its formula.
//  2. A pole at zero integrates; a coefficient that is not finite is an error naming its place.
//  3. The impulse response is that of the recurrence, and Convolve that of a sum over it.
#include "exec/s4d_discretize.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"

namespace octet {
namespace {

using Complex = std::complex<double>;

// exp(z) and (exp(z) - 1) / z by their series, far from cancellation for |z| < 1.
std::pair<Complex, Complex> ExpSeries(Complex z) {
  Complex term = 1, exp = 1, phi = 1;
  for (int k = 1; k < 40; ++k) {
    term *= z / static_cast<double>(k);
    exp += term;
    phi += term / static_cast<double>(k + 1);
  }
  return {exp, phi};
}

TEST(DiscretizeMode, IsThePapers) {
  Rng rng(1);
  for (int i = 0; i < 200; ++i) {
    const Complex a(-rng.Uniform(), 20 * rng.Uniform() - 10);
    const Complex b(rng.Uniform() - 0.5, rng.Uniform() - 0.5);
    const double dt = 0.001 + 0.08 * rng.Uniform();
    const DiscreteMode zoh = DiscretizeMode(Discretization::kZoh, a, b, dt);
    const auto [exp, phi] = ExpSeries(a * dt);
    EXPECT_LT(std::abs(zoh.A - exp), 1e-13);
    EXPECT_LT(std::abs(zoh.B - b * dt * phi), 1e-13);
    const DiscreteMode bilinear = DiscretizeMode(Discretization::kBilinear, a, b, dt);
    // x' = x + dt/2 (a x + a x') + dt b u, for u = 0 and for x = 0.
    const Complex one = bilinear.A, input = bilinear.B;
    EXPECT_LT(std::abs(one - (1.0 + dt / 2 * (a + a * one))), 1e-14);
    EXPECT_LT(std::abs(input - (dt / 2 * a * input + dt * b)), 1e-14);
  }
  const DiscreteMode still = DiscretizeMode(Discretization::kZoh, 0, 2, 0.25);
  EXPECT_EQ(still.A, Complex(1));
  EXPECT_EQ(still.B, Complex(0.5));
}

TEST(RealPartOf, HasTheFormulas) {
  for (const double v : {-40.0, -1.5, 0.0, 0.3, 50.0}) {
    EXPECT_DOUBLE_EQ(RealPartOf(RealPart::kExp, v), -std::exp(v));
    EXPECT_DOUBLE_EQ(RealPartOf(RealPart::kRelu, v), -(v > 0 ? v + 1e-4 : 1e-4));
    EXPECT_NEAR(RealPartOf(RealPart::kSoftplus, v), -std::log(1 + std::exp(v)),
                1e-15 + 1e-14 * std::fabs(v));
    EXPECT_NEAR(RealPartOf(RealPart::kSigmoid, v), -1 / (1 + std::exp(-v)), 1e-16);
    EXPECT_DOUBLE_EQ(RealPartOf(RealPart::kIdentity, v), -v);
  }
}

class DiscretizeTest : public testing::Test {
 protected:
  DiscretizeTest() {
    node_.op = Op::kS4d;
    node_.site = "layers.0.y";
    node_.width = 2;
    node_.s4d.modes = 3;
    Rng rng(2);
    const auto fill = [&](size_t i, size_t count, double low, double high) {
      for (size_t k = 0; k < count; ++k) {
        values_[i].push_back(static_cast<float>(low + (high - low) * rng.Uniform()));
      }
    };
    fill(0, 2, -6, -3);
    fill(1, 6, -1, 0);
    fill(2, 6, 0, 9);
    fill(3, 12, -1, 1);
    fill(4, 12, -1, 1);
    fill(5, 2, -1, 1);
  }
  Result<DiscreteS4d> Run() {
    const std::vector<float>* weights[6];
    for (size_t i = 0; i < 6; ++i) {
      weights[i] = &values_[i];
    }
    return Discretize(node_, weights);
  }

  Node node_;
  std::vector<float> values_[6];
};

TEST_F(DiscretizeTest, LaysOutHeadsPartsModes) {
  const DiscreteS4d s = *Run();
  ASSERT_EQ(s.A.size(), 12u);
  for (size_t h = 0; h < 2; ++h) {
    for (size_t n = 0; n < 3; ++n) {
      const size_t i = h * 3 + n;
      const DiscreteMode mode = DiscretizeMode(
          Discretization::kZoh, {-std::exp(static_cast<double>(values_[1][i])), values_[2][i]},
          {values_[3][2 * i], values_[3][2 * i + 1]}, std::exp(static_cast<double>(values_[0][h])));
      EXPECT_EQ(s.A[h * 6 + n], static_cast<float>(mode.A.real()));
      EXPECT_EQ(s.A[h * 6 + 3 + n], static_cast<float>(mode.A.imag()));
      EXPECT_EQ(s.B[h * 6 + n], static_cast<float>(mode.B.real()));
      EXPECT_EQ(s.C[h * 6 + 3 + n], 2 * values_[4][2 * i + 1]);
    }
  }
}

TEST_F(DiscretizeTest, TakesDiscreteWeightsAsTheyAre) {
  node_.s4d.discretization = Discretization::kNone;
  values_[1] = values_[3];
  const DiscreteS4d s = *Run();
  EXPECT_EQ(s.A, s.B);
  EXPECT_EQ(s.B[0], values_[3][0]);
  EXPECT_EQ(s.B[6 + 3 + 2], values_[3][11]);
}

TEST_F(DiscretizeTest, RefusesWhatIsNotFinite) {
  node_.s4d.real_part = RealPart::kIdentity;
  values_[1][4] = -1e30f;  // grows without bound
  EXPECT_THAT(Run().status().message(), testing::AllOf(testing::HasSubstr("layers.0.y"),
                                                       testing::HasSubstr("head 1, mode 1")));
}

TEST_F(DiscretizeTest, ImpulseResponseAndConvolution) {
  const DiscreteS4d s = *Run();
  constexpr int64_t kLength = 50;
  std::vector<float> u(2 * kLength);
  Rng rng(3);
  for (float& v : u) {
    v = static_cast<float>(rng.Uniform() - 0.5);
  }
  const std::vector<float> y = Convolve(s, 3, values_[5], u);
  for (size_t h = 0; h < 2; ++h) {
    const auto part = [&](const std::vector<float>& v, size_t n) {
      return Complex(v[h * 6 + n], v[h * 6 + 3 + n]);
    };
    Complex x[3] = {}, impulse[3] = {};
    const std::vector<double> K = ImpulseResponse(s, 3, static_cast<int64_t>(h), kLength);
    for (size_t t = 0; t < kLength; ++t) {
      double response = 0, sum = static_cast<double>(values_[5][h]) * u[t * 2 + h];
      for (size_t n = 0; n < 3; ++n) {
        impulse[n] = part(s.A, n) * impulse[n] + part(s.B, n) * (t == 0 ? 1.0 : 0.0);
        x[n] = part(s.A, n) * x[n] + part(s.B, n) * static_cast<double>(u[t * 2 + h]);
        response += (part(s.C, n) * impulse[n]).real();
        sum += (part(s.C, n) * x[n]).real();
      }
      EXPECT_NEAR(K[t], response, 1e-12);
      EXPECT_NEAR(y[t * 2 + h], sum, 1e-6);
    }
  }
}

}  // namespace
}  // namespace octet
