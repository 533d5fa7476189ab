// Contracts:
// - MakeHadamardShape finds a construction for every order; ids round-trip; bad ones are refused.
// - H H^T = n I for the explicit +-1 matrix built entry by entry from the shape, n <= 2560; the
// fast
//   forms in double equal that matrix and its transpose, and invert each other for every order.
// - (W H^T)(H v) = W v, which the wrong transpose fails for the Paley I factors.
// - Every kernel on every instruction set has the bits of hadamard/ref, also in place; hadamard/ref
// is
//   within a derived bound of the double form and keeps the norm to 1e-6.
#include "kernels/hadamard.h"

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "kernels/each_kernel.h"
#include "kernels/hadamard_shape.h"

namespace octet {
namespace {

const int64_t kOrders[] = {1,   2,   3,    4,    12,   20,   28,   36,   40,   48,   100,  256, 512,
                           576, 768, 1024, 1536, 2048, 2560, 3072, 3584, 4096, 5120, 7168, 8192};

HadamardShape Shape(int64_t n, std::string_view kind = "auto") {
  Result<HadamardShape> s = MakeHadamardShape(n, kind);
  EXPECT_TRUE(s.ok()) << n << " " << kind;
  return *s;
}

// Entry (i, j) of the unscaled matrix from its definition: blocks, factor (x) Sylvester.
int Entry(const HadamardShape& s, int64_t i, int64_t j) {
  const int64_t width = int64_t{1} << s.m;
  const int64_t piece = s.k * width;
  if (i / piece != j / piece) return 0;
  const int64_t r = i % piece / width;
  const int64_t c = j % piece / width;
  const int factor = s.k == 1 ? 1 : s.factor[r * s.k + c];
  const auto common = static_cast<uint64_t>(i % width & j % width);
  return std::popcount(common) % 2 == 0 ? factor : -factor;
}

std::vector<double> Random(int64_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<double> v(static_cast<size_t>(n));
  for (double& x : v) {
    x = 2 * rng.Uniform() - 1;
  }
  return v;
}

TEST(HadamardShape, ConstructionsAndIds) {
  const std::pair<int64_t, const char*> expected[] = {
      {768, "paley1-12"},  {1024, "sylvester"}, {1536, "paley1-12"}, {2048, "sylvester"},
      {2560, "paley1-20"}, {3072, "paley1-12"}, {3584, "paley2-28"}, {4096, "sylvester"},
      {5120, "paley1-20"}, {7168, "paley2-28"}, {8192, "sylvester"}, {12, "paley1-12"},
      {20, "paley1-20"},   {28, "paley2-28"},   {36, "paley2-36"},   {40, "paley1-20"},
      {256, "sylvester"},  {1, "sylvester"},    {3, "block"},        {100, "block"}};
  for (const auto& [n, id] : expected) {
    const HadamardShape s = Shape(n);
    EXPECT_EQ(HadamardId(s), id) << n;
    EXPECT_EQ(s.n, n);
    EXPECT_EQ(s.blocks * s.k << s.m, n);
    const HadamardShape again = Shape(n, id);
    EXPECT_EQ(again.factor, s.factor);
    EXPECT_EQ(again.m, s.m);
    EXPECT_EQ(again.blocks, s.blocks);
  }
  EXPECT_EQ(HadamardId(Shape(5120, "paley1-20x2")), "paley1-20x2");
  EXPECT_EQ(Shape(5120, "paley1-20x2").k, 40);
  EXPECT_EQ(Shape(768, "block").blocks, 3);
  EXPECT_EQ(Shape(5120, "block").m, 10);
  EXPECT_EQ(Shape(7).blocks, 7);
}

TEST(HadamardShape, BadRequestsAreRefused) {
  const std::pair<int64_t, const char*> bad[] = {
      {0, "auto"},       {-4, "block"},  {768, "sylvester"}, {1024, "paley1-12"},
      {36, "paley1-12"}, {512, "magic"}, {512, ""}};
  for (const auto& [n, kind] : bad) {
    EXPECT_EQ(MakeHadamardShape(n, kind).status().code(), Code::kInvalidArgument) << n << kind;
  }
}

TEST(HadamardShape, RowsAreOrthogonal) {
  for (const int64_t n : kOrders) {
    if (n > 2560) continue;
    for (const char* kind : {"auto", "block"}) {
      const HadamardShape s = Shape(n, kind);
      const int64_t piece = s.k << s.m;
      // H is factor (x) Sylvester, so rows a fixed distance apart cover all cases cheaply.
      for (int64_t i = 0; i<piece; i += piece> 300 ? 37 : 1) {
        for (int64_t j = i; j<piece; j += piece> 300 ? 53 : 1) {
          int64_t dot = 0;
          for (int64_t c = 0; c < piece; ++c) {
            ASSERT_EQ(std::abs(Entry(s, i, c)), 1);
            dot += Entry(s, i, c) * Entry(s, j, c);
          }
          ASSERT_EQ(dot, i == j ? piece : 0) << n << " rows " << i << " " << j;
        }
      }
    }
  }
  const HadamardShape doubled = Shape(40, "paley1-20x2");
  for (int64_t i = 0; i < 40; ++i) {
    for (int64_t j = 0; j < 40; ++j) {
      int dot = 0;
      for (int64_t c = 0; c < 40; ++c) {
        dot += Entry(doubled, i, c) * Entry(doubled, j, c);
      }
      ASSERT_EQ(dot, i == j ? 40 : 0);
    }
  }
}

// Expects the fast form to equal the explicit matrix, or its transpose, on a random vector.
void ExpectDense(const HadamardShape& s, bool transpose) {
  const std::vector<double> v = Random(s.n, 51);
  std::vector<double> fast = v;
  if (transpose) {
    HadamardTransposeRowsF64(s, fast.data(), 1);
  } else {
    HadamardRowsF64(s, fast.data(), 1);
  }
  const double scale = 1.0 / std::sqrt(static_cast<double>(s.k << s.m));
  for (int64_t i = 0; i < s.n; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < s.n; ++j) {
      sum += (transpose ? Entry(s, j, i) : Entry(s, i, j)) * v[static_cast<size_t>(j)];
    }
    ASSERT_NEAR(fast[static_cast<size_t>(i)], sum * scale, 1e-12)
        << s.n << (transpose ? " transposed" : "") << " row " << i;
  }
}

TEST(HadamardShape, FastFormsEqualTheMatrix) {
  for (const int64_t n : kOrders) {
    if (n > 2560) continue;
    ExpectDense(Shape(n), false);
    ExpectDense(Shape(n), true);
    ExpectDense(Shape(n, "block"), false);
  }
  ExpectDense(Shape(80, "paley1-20x2"), false);
  ExpectDense(Shape(80, "paley1-20x2"), true);
}

TEST(HadamardShape, TransposeIsTheInverse) {
  for (const int64_t n : kOrders) {
    const std::vector<double> v = Random(2 * n, 52);
    std::vector<double> w = v;
    HadamardRowsF64(Shape(n), w.data(), 2);
    HadamardTransposeRowsF64(Shape(n), w.data(), 2);
    for (size_t i = 0; i < v.size(); ++i) {
      ASSERT_NEAR(w[i], v[i], 1e-13) << n;
    }
  }
}

double Dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += a[i] * b[i];
  }
  return sum;
}

TEST(HadamardShape, RotatedWeightsUndoTheRotation) {
  for (const int64_t n : {12, 20, 40, 768, 1536, 2560, 5120}) {
    const HadamardShape s = Shape(n);
    std::vector<double> w = Random(n, 53);  // one row of W
    std::vector<double> v = Random(n, 54);
    const double expected = Dot(w, v);
    std::vector<double> wrong = w;
    HadamardTransposeRowsF64(s, wrong.data(), 1);  // W H instead of W H^T
    HadamardRowsF64(s, w.data(), 1);
    HadamardRowsF64(s, v.data(), 1);
    EXPECT_NEAR(Dot(w, v), expected, 1e-10) << n;
    EXPECT_GT(std::fabs(Dot(wrong, v) - expected), 1e-3) << n << " is symmetric";
  }
}

const std::pair<int64_t, const char*> kTransforms[] = {
    {1, "auto"},    {3, "auto"},    {16, "auto"},         {12, "auto"},   {192, "auto"},
    {40, "auto"},   {320, "auto"},  {32, "auto"},         {64, "auto"},   {100, "auto"},
    {144, "block"}, {768, "block"}, {640, "paley1-20x2"}, {576, "auto"},  {448, "auto"},
    {1536, "auto"}, {2048, "auto"}, {2560, "auto"},       {4096, "auto"}, {5120, "auto"}};

struct Problem {
  Problem(int64_t n, const char* kind, uint64_t seed) {
    const int64_t T = 3;
    for (const double v : Random(T * n, seed)) {
      x.push_back(static_cast<float>(v));
    }
    y.assign(x.size(), std::numeric_limits<float>::quiet_NaN());
    args = {T, Shape(n, kind), x.data(), y.data()};
    Buffer scratch(Reference().scratch_bytes(args));
    Reference().run(args, {scratch.data()});
  }
  const Kernel<HadamardArgs>& Reference() const {
    return Kernels<HadamardArgs>().Pick(args, kReferenceOnly);
  }
  std::vector<float> x, y;
  HadamardArgs args;
};

TEST(Hadamard, ReferenceIsCloseToDouble) {
  for (const auto& [n, kind] : kTransforms) {
    const Problem p(n, kind, 61);
    std::vector<double> exact(p.x.begin(), p.x.end());
    HadamardRowsF64(p.args.shape, exact.data(), p.args.T);
    const int64_t piece = p.args.shape.k << p.args.shape.m;
    // Each output sums `piece` inputs below 1 in m + k roundings, then the scale's two.
    const double bound = static_cast<double>(p.args.shape.m + p.args.shape.k + 2) * 0x1.0p-24 *
                         std::sqrt(static_cast<double>(piece));
    double norm_x = 0;
    double norm_y = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      EXPECT_NEAR(p.y[i], exact[i], bound) << n << " " << kind;
      norm_x += static_cast<double>(p.x[i]) * p.x[i];
      norm_y += static_cast<double>(p.y[i]) * p.y[i];
    }
    EXPECT_NEAR(std::sqrt(norm_y / norm_x), 1.0, 1e-6) << n << " " << kind;
  }
}

TEST(Hadamard, EveryKernelHasTheReferenceBits) {
  for (const auto& [n, kind] : kTransforms) {
    Problem p(n, kind, 62);
    const std::vector<float> expected = p.y;
    const int count = ForEachKernel<HadamardArgs>(p.args, [&](const std::string& name, auto& run) {
      p.y.assign(p.y.size(), std::numeric_limits<float>::quiet_NaN());
      run();
      EXPECT_EQ(p.y, expected) << name << " " << n << " " << kind;
    });
    const int isas = static_cast<int>(AvailableIsas().size());
    EXPECT_GE(count, p.args.shape.m >= 4 ? 2 * isas - 1 : isas) << n << " " << kind;
    HadamardArgs in_place = p.args;
    in_place.x = p.y.data();
    ForEachKernel<HadamardArgs>(in_place, [&](const std::string& name, auto& run) {
      p.y = p.x;
      run();
      EXPECT_EQ(p.y, expected) << name << " in place " << n << " " << kind;
    });
  }
}

}  // namespace
}  // namespace octet
