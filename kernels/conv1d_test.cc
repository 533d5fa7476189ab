// Contracts:
// - Every kernel on every instruction set gives the bits of conv1d/ref.
// - conv1d/ref equals the formula in double within a derived bound, with history as rows before x.
// - Splitting the tokens over calls changes no bit of y.
#include "kernels/conv1d.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "kernels/each_kernel.h"

namespace octet {
namespace {

struct Problem {
  int64_t T, C, K, x_pad;
  bool bias;
};

const Problem kProblems[] = {
    {1, 1, 1, 0, false},  {1, 17, 4, 0, true},    {2, 16, 4, 3, true}, {3, 40, 4, 1, false},
    {9, 33, 4, 0, true},  {5, 20, 2, 2, true},    {2, 7, 5, 0, true},  {4, 64, 3, 0, false},
    {6, 100, 1, 4, true}, {17, 1792, 4, 8, true},
};

struct Conv {
  Conv(const Problem& p, uint64_t seed) {
    Rng rng(seed);
    x = Random(p.T * (p.C + p.x_pad), &rng);
    weight = Random(p.C * p.K, &rng);
    taps = ConvTaps(weight, p.K);
    bias = Random(p.C, &rng);
    for (int64_t row = 0; row < p.K - 1; ++row) {
      history.push_back(Random(p.C, &rng));
      rows.push_back(history.back().data());
    }
    y.assign(static_cast<size_t>(p.T * p.C), std::numeric_limits<float>::quiet_NaN());
    args = {p.T,
            p.C,
            p.K,
            x.data(),
            p.C + p.x_pad,
            taps.data(),
            p.bias ? bias.data() : nullptr,
            rows.data(),
            y.data()};
  }
  static std::vector<float> Random(int64_t n, Rng* rng) {
    std::vector<float> v(static_cast<size_t>(n));
    for (float& e : v) {
      e = rng->Uniform(-2.0f, 2.0f);
    }
    return v;
  }
  void Reset() { y.assign(y.size(), std::numeric_limits<float>::quiet_NaN()); }
  // Row s of history ++ x; s = -(K - 1) is the oldest.
  double X(int64_t s, int64_t c) const {
    return s < 0 ? history[static_cast<size_t>(args.K - 1 + s)][static_cast<size_t>(c)]
                 : x[static_cast<size_t>(s * args.x_stride + c)];
  }
  std::vector<float> x, weight, taps, bias, y;
  std::vector<std::vector<float>> history;
  std::vector<const float*> rows;
  Conv1dArgs args;
};

const Kernel<Conv1dArgs>& Reference(const Conv1dArgs& args) {
  return Kernels<Conv1dArgs>().Pick(args, kReferenceOnly);
}

TEST(Conv1d, ReferenceEqualsTheFormulaInDouble) {
  for (const Problem& p : kProblems) {
    Conv v(p, 31);
    Reference(v.args).run(v.args, {});
    for (int64_t t = 0; t < p.T; ++t) {
      for (int64_t c = 0; c < p.C; ++c) {
        double sum = p.bias ? static_cast<double>(v.bias[static_cast<size_t>(c)]) : 0.0;
        double magnitude = std::fabs(sum);
        for (int64_t j = 0; j < p.K; ++j) {
          const double term = static_cast<double>(v.weight[static_cast<size_t>(c * p.K + j)]) *
                              v.X(t - p.K + 1 + j, c);
          sum += term;
          magnitude += std::fabs(term);
        }
        const double exact = sum / (1.0 + std::exp(-sum));
        // silu's slope is below 1.1; the sum has K roundings, silu itself errs by 4e-7.
        const double bound =
            1.1 * static_cast<double>(p.K) * magnitude * 0x1.0p-24 + std::fabs(exact) * 4e-7;
        EXPECT_NEAR(v.y[static_cast<size_t>(t * p.C + c)], exact, bound) << t << " " << c;
      }
    }
  }
}

TEST(Conv1d, EveryKernelHasTheReferenceBits) {
  for (const Problem& p : kProblems) {
    Conv v(p, 32);
    Reference(v.args).run(v.args, {});
    const std::vector<float> y = v.y;
    const int count = ForEachKernel<Conv1dArgs>(v.args, [&](const std::string& name, auto& run) {
      v.Reset();
      run();
      EXPECT_EQ(v.y, y) << name << " T " << p.T << " C " << p.C << " K " << p.K;
    });
    EXPECT_GE(count, 2 * static_cast<int>(AvailableIsas().size()) - 1);
  }
}

TEST(Conv1d, SplitsChangeNothing) {
  Conv v({11, 35, 4, 2, true}, 33);
  Reference(v.args).run(v.args, {});
  const std::vector<float> y = v.y;
  for (const int64_t step : {1, 2, 3, 5, 10}) {
    v.Reset();
    for (int64_t t = 0; t < v.args.T; t += step) {
      Conv1dArgs part = v.args;
      part.T = std::min(step, v.args.T - t);
      part.x += t * part.x_stride;
      part.y += t * part.C;
      std::vector<const float*> history;
      for (int64_t s = t - part.K + 1; s < t; ++s) {
        history.push_back(s < 0 ? v.rows[static_cast<size_t>(part.K - 1 + s)]
                                : v.x.data() + s * part.x_stride);
      }
      part.history = history.data();
      Reference(part).run(part, {});
    }
    EXPECT_EQ(v.y, y) << step;
  }
}

}  // namespace
}  // namespace octet
