// Contracts:
//  1. ReciprocalRoot is within 2^-28 of 2^46 / sqrt(q).
//  2. Normalize is a LayerNorm in real numbers, within what integer_norm.h says of each of its
//     roundings, for streams of a few units to those that fill their range.
//  3. The worst streams overflow nothing; equal values give the bias.
//  4. A unit that its own results or eps do not fit into is refused or never chosen.
#include "edge/integer_norm.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <gmock/gmock.h>

#include "base/rng.h"
#include "edge/lower_norm.h"

namespace octet {
namespace {

using testing::Each;
using testing::HasSubstr;

FloatNorm RandomNorm(size_t H, float eps, Rng* rng) {
  FloatNorm n{"layers.0.norm", {}, {}, eps};
  for (size_t h = 0; h < H; ++h) {
    n.weight.push_back(rng->Uniform(-2, 2));
    n.bias.push_back(rng->Uniform(-1, 1));
  }
  return n;
}

double LargestOf(const FloatNorm& n) {
  double most = 0;
  for (size_t h = 0; h < n.weight.size(); ++h) {
    most = std::max(most, n.Largest(h));
  }
  return most;
}

TEST(IntegerNorm, ReciprocalRoots) {
  const auto expect = [](uint64_t q) {
    const double want = 0x1p46 / std::sqrt(static_cast<double>(q));
    EXPECT_NEAR(ReciprocalRoot(static_cast<uint32_t>(q)), want, want * 0x1p-28) << q;
  };
  for (uint64_t q = uint64_t{1} << 30; q < uint64_t{1} << 32; q += 9973) {
    expect(q);
  }
  expect((uint64_t{1} << 32) - 1);
}

// Distances from the same formula in double, in the stream's units.
void ExpectNear(const std::vector<int32_t>& r, const FloatNorm& n, double unit) {
  const auto H = static_cast<double>(r.size());
  const Result<IntegerNorm> norm = LowerNorm(n, unit);
  ASSERT_TRUE(norm.ok()) << norm.status().message();
  double mean = 0, squares = 0, furthest = 0;
  for (const int32_t v : r) {
    mean += v / H;
  }
  for (const int32_t v : r) {
    squares += (v - mean) * (v - mean);
    furthest = std::max(furthest, std::fabs(v - mean));
  }
  const double deviation = std::sqrt(squares / H + n.eps / (unit * unit));
  // Of a value: what the mean is off by, and what is cut off. It also shifts the deviation.
  const double off = 3 + furthest * 0x1p-22, near = 3 * off / deviation + 0x1p-26;
  std::vector<int32_t> got = r;
  Normalize(*norm, got);
  for (size_t h = 0; h < r.size(); ++h) {
    const double normed = (r[h] - mean) / deviation;
    const double want = (normed * n.weight[h] + n.bias[h]) / unit;
    const double factor = std::fabs(n.weight[h]) / unit;
    EXPECT_NEAR(got[h], want,
                2 + factor * (off / deviation + std::fabs(normed) * near + std::sqrt(H) * 0x1p-29))
        << h << " of " << H;
  }
}

TEST(IntegerNorm, IsALayerNorm) {
  Rng rng(3);
  for (const size_t H : {2u, 3u, 16u, 65u, 1000u}) {
    for (const double spread : {3.0, 1e3, 1e5, 1e7, 5e8}) {
      for (const float eps : {1e-5f, 1e-12f, 0.5f}) {
        SCOPED_TRACE(std::to_string(H) + " heads, spread " + std::to_string(spread));
        const FloatNorm n = RandomNorm(H, eps, &rng);
        const double unit = std::max(LargestOf(n) / 0x1p28, n.LeastUnit());
        const auto shift = rng.Uniform(-1, 1) * (0x1.7p29 - spread);
        std::vector<int32_t> r(H);
        for (int32_t& v : r) {
          v = static_cast<int32_t>(shift + spread * rng.Uniform(-1, 1));
        }
        ExpectNear(r, n, unit);
      }
    }
  }
}

TEST(IntegerNorm, Extremes) {
  Rng rng(4);
  constexpr int32_t kMost = 0x1.8p29;
  for (const size_t H : {1u, 2u, 3u, 1025u, 65536u}) {
    const FloatNorm n = RandomNorm(H, 1e-5f, &rng);
    const double unit = std::max(LargestOf(n) / 0x1p29, n.LeastUnit());
    const IntegerNorm norm = *LowerNorm(n, unit);
    for (const int32_t v : {kMost, -kMost, 0}) {
      std::vector<int32_t> r(H, v);
      Normalize(norm, r);
      for (size_t h = 0; h < H; ++h) {
        // The mean is within 3 of the values, which are far apart from the unit of eps.
        EXPECT_NEAR(r[h], norm.bias[h], 2 + 3 * 2 / std::sqrt(1e-5)) << h;
      }
    }
    for (const size_t others : {size_t{1}, H / 2}) {
      std::vector<int32_t> r(H, -kMost);
      std::fill_n(r.begin(), others, kMost);
      ExpectNear(r, n, unit);
      Normalize(norm, r);
      EXPECT_THAT(r, Each(testing::AllOf(testing::Gt(-(1 << 30)), testing::Lt(1 << 30))));
    }
  }
}

TEST(IntegerNorm, UnitsThatAreTooSmall) {
  Rng rng(5);
  FloatNorm n = RandomNorm(7, 1e-5f, &rng);
  const Status s = LowerNorm(n, LargestOf(n) * 0x1p-30).status();
  EXPECT_EQ(s.code(), Code::kInvalidArgument);
  EXPECT_THAT(s.message(), HasSubstr("layers.0.norm, head "));
  n = {"", std::vector<float>(7, 0.1f), std::vector<float>(7), 0.9f};
  const Result<IntegerNorm> norm = LowerNorm(n, n.LeastUnit());
  ASSERT_TRUE(norm.ok()) << norm.status().message();
  EXPECT_NEAR(static_cast<double>(norm->eps), 0x1p61, 0x1p40);
  n.weight.resize(65537);
  EXPECT_EQ(LowerNorm(n, 1).status().code(), Code::kUnsupported);
}

}  // namespace
}  // namespace octet
