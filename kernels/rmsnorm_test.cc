// Contracts:
// - Every kernel on every instruction set gives the bits of rmsnorm/ref: any C, groups, strides,
//   with and without gate and weight, in place.
// - rmsnorm/ref equals the formula in double within a bound derived from the number of roundings.
#include "kernels/rmsnorm.h"

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "kernels/each_kernel.h"

namespace octet {
namespace {

struct Problem {
  int64_t T, C, groups, x_pad, gate_pad;
  bool gated, weighted;
};

class Rmsnorm {
 public:
  Rmsnorm(const Problem& p, uint64_t seed) : p_(p) {
    Rng rng(seed);
    Fill(&x_, p.T * (p.C + p.x_pad), &rng, -3.0f, 3.0f);
    Fill(&gate_, p.T * (p.C + p.gate_pad), &rng, -8.0f, 8.0f);
    Fill(&weight_, p.C, &rng, -2.0f, 2.0f);
    y.assign(static_cast<size_t>(p.T * p.C), std::numeric_limits<float>::quiet_NaN());
    args = {p.T,
            p.C,
            p.groups,
            x_.data(),
            p.C + p.x_pad,
            p.gated ? gate_.data() : nullptr,
            p.C + p.gate_pad,
            p.weighted ? weight_.data() : nullptr,
            1e-5f,
            y.data()};
  }

  // The formula in double; relative error of fp32: the sum of squares errs by at most its longest
  // chain (n / 16 + 4 roundings), halved by the root; v itself by silu's 4e-7 and one product.
  void ExpectCloseToDouble() const {
    const int64_t n = p_.C / p_.groups;
    const double bound =
        (static_cast<double>(n) / 16 + 16) * 0x1.0p-24 + (p_.gated ? 2 * 5e-7 : 0.0);
    for (int64_t t = 0; t < p_.T; ++t) {
      for (int64_t g = 0; g < p_.groups; ++g) {
        double sum = 0;
        for (int64_t c = g * n; c < (g + 1) * n; ++c) {
          sum += V(t, c) * V(t, c);
        }
        for (int64_t c = g * n; c < (g + 1) * n; ++c) {
          const double w = p_.weighted ? static_cast<double>(weight_[static_cast<size_t>(c)]) : 1.0;
          const double exact =
              V(t, c) / std::sqrt(sum / static_cast<double>(n) + static_cast<double>(1e-5f)) * w;
          EXPECT_NEAR(y[static_cast<size_t>(t * p_.C + c)], exact, std::fabs(exact) * bound)
              << "t " << t << " c " << c;
        }
      }
    }
  }

  RmsnormArgs args;
  std::vector<float> y;

 private:
  static void Fill(std::vector<float>* v, int64_t n, Rng* rng, float lo, float hi) {
    v->resize(static_cast<size_t>(n));
    for (float& x : *v) {
      x = rng->Uniform(lo, hi);
    }
  }
  double V(int64_t t, int64_t c) const {
    const double x = x_[static_cast<size_t>(t * (p_.C + p_.x_pad) + c)];
    if (!p_.gated) return x;
    const double z = gate_[static_cast<size_t>(t * (p_.C + p_.gate_pad) + c)];
    return x * z / (1.0 + std::exp(-z));
  }
  Problem p_;
  std::vector<float> x_, gate_, weight_;
};

const Problem kProblems[] = {
    {1, 1, 1, 0, 0, false, false},    {3, 7, 1, 2, 0, true, true},
    {2, 16, 1, 0, 0, false, true},    {2, 16, 2, 1, 3, true, false},
    {5, 33, 1, 0, 5, true, true},     {2, 40, 8, 0, 0, false, true},
    {4, 300, 4, 3, 1, true, true},    {1, 768, 1, 0, 0, false, true},
    {3, 1536, 1, 256, 9, true, true}, {2, 1000, 8, 0, 0, true, true},
};

const Kernel<RmsnormArgs>& Reference(const RmsnormArgs& args) {
  return Kernels<RmsnormArgs>().Pick(args, kReferenceOnly);
}

TEST(Rmsnorm, ReferenceEqualsTheFormulaInDouble) {
  for (const Problem& p : kProblems) {
    Rmsnorm r(p, 21);
    Reference(r.args).run(r.args, {});
    r.ExpectCloseToDouble();
  }
}

TEST(Rmsnorm, EveryKernelHasTheReferenceBits) {
  for (const Problem& p : kProblems) {
    Rmsnorm r(p, 22);
    Reference(r.args).run(r.args, {});
    const std::vector<float> expected = r.y;
    const int count = ForEachKernel<RmsnormArgs>(r.args, [&](const std::string& name, auto& run) {
      r.y.assign(r.y.size(), std::numeric_limits<float>::quiet_NaN());
      run();
      for (size_t i = 0; i < expected.size(); ++i) {
        ASSERT_EQ(std::bit_cast<uint32_t>(r.y[i]), std::bit_cast<uint32_t>(expected[i]))
            << name << " C " << p.C << " groups " << p.groups << " i " << i;
      }
    });
    EXPECT_GE(count, 2 * static_cast<int>(AvailableIsas().size()) - 1);
  }
}

TEST(Rmsnorm, InPlace) {
  Rmsnorm r({3, 100, 2, 0, 0, true, true}, 23);
  Reference(r.args).run(r.args, {});
  const std::vector<float> expected = r.y;
  const std::vector<float> x(r.args.x, r.args.x + r.y.size());
  RmsnormArgs args = r.args;
  args.x = r.y.data();
  ForEachKernel<RmsnormArgs>(args, [&](const std::string& name, auto& run) {
    r.y = x;
    run();
    EXPECT_EQ(r.y, expected) << name;
  });
}

}  // namespace
}  // namespace octet
