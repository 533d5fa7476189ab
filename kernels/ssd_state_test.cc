// Contracts:
//  1. A store and a load give the value back within half a step of the format (a step when
//     stochastic, half a sixteenth of one with feedback), and touch no other row.
//  2. Stochastic rounding chooses one of the two neighbours; its mean over positions, rows and
//     elements is the value, within four standard deviations; it depends on key, position and
//     element, and on nothing else.
//  3. methods_mamba 2.8.5 item 1: with decay 0.999 the rms error of a static int8 state is that of
//     s / sqrt(12 (1 - a^2)), about 9.5 % of the signal, and with feedback an eighth of it or less.
//  4. Increments below half a step are lost by rounding to nearest, and not by the other two.
//  5. Values beyond the scale saturate; NaN and infinity are defined.
//  6. Kernels on every instruction set store the bits of these functions (any N, every format).
#include "kernels/ssd_state.h"

#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "kernels/each_kernel.h"
#include "kernels/math.h"
#include "kernels/scan.h"
#include "kernels/state_testing.h"

namespace octet {
namespace {

using testing::StateMemory;

size_t At(int64_t i) {
  return static_cast<size_t>(i);
}

std::vector<float> RandomRow(Rng* rng, int64_t n) {
  std::vector<float> row(At(n));
  for (float& v : row) {
    v = rng->Uniform(-1.0f, 1.0f);
  }
  return row;
}

// The largest error of a stored value, |value| <= 1, of a row whose scale covers 1.
double Step(const StateFormat& f) {
  if (f.codec == StateCodec::kF32) return 0;
  if (f.codec == StateCodec::kF16) return 0x1.0p-11;  // between halves of [0.5, 1]
  return 1.0 / static_cast<double>(f.max_code()) * (1 + 0x1.0p-11);
}
double Bound(const StateFormat& f) {
  const double part = f.rounding == StateRounding::kNearest      ? 0.5
                      : f.rounding == StateRounding::kStochastic ? 1.0
                                                                 : 1.0 / 32;
  return part * Step(f) + 0x1.0p-23;  // the product with the reciprocal, and the decoded i16
}

TEST(StateRow, ValuesComeBackWithinTheStep) {
  for (const std::string& name : StateFormatNames()) {
    const StateFormat f = *ParseStateFormat(name);
    for (const int64_t N : {1, 2, 7, 16, 33}) {
      StateMemory memory(f, 3, N, 1.0f);
      const StateMemory before = memory;
      Rng rng(5);
      const std::vector<float> row = RandomRow(&rng, N);
      StoreStateRow(memory.View(), 1, N, 1, row.data());
      const std::vector<float> back = memory.Values();
      for (int64_t n = 0; n < N; ++n) {
        EXPECT_NEAR(back[At(N + n)], row[At(n)], Bound(f)) << name << " N=" << N;
        EXPECT_EQ(back[At(n)], before.Values()[At(n)]) << name;
        EXPECT_EQ(back[At(2 * N + n)], before.Values()[At(2 * N + n)]) << name;
      }
      EXPECT_EQ(f.codec == StateCodec::kF32 && back[At(N)] != row[0], false);
    }
  }
}

TEST(StateRow, StochasticRoundingIsUnbiasedAndReproducible) {
  for (const char* name : {"f16+sr", "i16+sr", "i8+sr", "i8s+sr:3"}) {
    const StateFormat f = *ParseStateFormat(name);
    const int64_t N = 32, rows = 16, stores = 400;
    StateMemory memory(f, rows, N, 1.0f);
    Rng rng(6);
    std::vector<float> value = RandomRow(&rng, N);
    value[0] = 1.0f;                                          // on the grid of every format here
    if (f.codec == StateCodec::kF16) value[1] = 0x1.54p-22f;  // between subnormal halves
    std::vector<double> sum(At(N)), square(At(N));
    for (int64_t t = 1; t <= stores; ++t) {
      for (int64_t row = 0; row < rows; ++row) {
        StoreStateRow(memory.View(), row, N, t, value.data());
      }
      const std::vector<float> back = memory.Values();
      for (int64_t i = 0; i < rows * N; ++i) {
        const double error = static_cast<double>(back[At(i)]) - value[At(i % N)];
        EXPECT_LE(std::fabs(error), Bound(f));
        sum[At(i % N)] += error;
        square[At(i % N)] += error * error;
      }
    }
    const auto samples = static_cast<double>(stores * rows);
    double total = 0, total_square = 0;
    for (int64_t n = 0; n < N; ++n) {
      // 6 deviations for each of many elements, and the rounding of the reciprocal.
      const double slack = f.codec == StateCodec::kF16 ? 0 : samples * 0x1.0p-23;
      EXPECT_LE(std::fabs(sum[At(n)]), 6 * std::sqrt(square[At(n)]) + slack) << name << " " << n;
      total += sum[At(n)];
      total_square += square[At(n)];
    }
    EXPECT_LT(std::fabs(total), 4 * std::sqrt(total_square)) << name;
    // A remainder r has variance r (1 - r), 1/6 on average: rounding to nearest has half of that.
    const double step = f.codec == StateCodec::kF16 ? 0 : Step(f);
    if (step == 0) continue;
    EXPECT_NEAR(total_square / samples / N, step * step / 6, step * step / 20) << name;
  }
}

TEST(StateRow, NoiseDependsOnKeyPositionAndElementAlone) {
  const StateFormat f = *ParseStateFormat("i8s+sr");
  const int64_t N = 64;
  Rng rng(8);
  const std::vector<float> value = RandomRow(&rng, N);
  const auto stored = [&](uint64_t key, int64_t position, int64_t token, int64_t row) {
    StateMemory memory(f, 2, N, 1.0f);
    StateView h = memory.View();
    h.noise_key = key;
    h.position = position;
    StoreStateRow(h, row, N, token, value.data());
    const std::vector<float> all = memory.Values();
    return std::vector<float>(all.begin() + row * N, all.begin() + (row + 1) * N);
  };
  const auto base = stored(NoiseKey(1, 0), 10, 6, 0);
  EXPECT_EQ(stored(NoiseKey(1, 0), 0, 16, 0), base) << "10 + 6 tokens are 16";
  EXPECT_NE(stored(NoiseKey(1, 0), 10, 7, 0), base);
  EXPECT_NE(stored(NoiseKey(2, 0), 10, 6, 0), base);
  EXPECT_NE(stored(NoiseKey(1, 1), 10, 6, 0), base);
  EXPECT_NE(stored(NoiseKey(1, 0), 10, 6, 1), base);
  std::set<uint32_t> seen;
  for (int64_t n = 0; n < 1000; ++n) {
    seen.insert(NoiseAt(RowNoise(3, 4, 5), n));
  }
  EXPECT_GT(seen.size(), 998u);
}

// h <- a h + b x for 4000 steps; the rms error of the stored h against double, over its rms.
double DriftOf(const StateFormat& f, double decay, float scale) {
  const int64_t N = 64;
  StateMemory memory(f, 1, N, 127 * scale);
  std::vector<double> truth(At(N));
  std::vector<float> h(At(N));
  Rng rng(11);
  double error = 0, power = 0;
  for (int64_t t = 1; t <= 12000; ++t) {
    LoadStateRow(memory.View(), 0, N, h.data());
    for (int64_t n = 0; n < N; ++n) {
      const float x = rng.Uniform(-1.0f, 1.0f);
      truth[At(n)] = decay * truth[At(n)] + static_cast<double>(x);
      h[At(n)] = static_cast<float>(decay) * h[At(n)] + x;
    }
    StoreStateRow(memory.View(), 0, N, t, h.data());
    const std::vector<float> back = memory.Values();
    for (int64_t n = 0; n < N && t > 4000; ++n) {
      error += std::pow(static_cast<double>(back[At(n)]) - truth[At(n)], 2);
      power += truth[At(n)] * truth[At(n)];
    }
  }
  return std::sqrt(error / power);
}

TEST(StateRow, FeedbackKeepsALongMemory) {
  const double decay = 0.999;
  // Uniform input of variance 1/3: the state's rms is sqrt(1 / 3 / (1 - a^2)); 127 steps are 4 rms.
  const double rms = std::sqrt(1.0 / 3 / (1 - decay * decay));
  const float scale = RoundScale(static_cast<float>(4.0 * rms / 127));
  const double theory = static_cast<double>(scale) / std::sqrt(12 * (1 - decay * decay)) / rms;
  const double nearest = DriftOf(*ParseStateFormat("i8s"), decay, scale);
  EXPECT_NEAR(nearest, theory, 0.25 * theory);
  EXPECT_GT(nearest, 0.08);
  const double feedback = DriftOf(*ParseStateFormat("i8s+ef"), decay, scale);
  EXPECT_NEAR(feedback, theory / 16, 0.25 * theory / 16);
  EXPECT_LT(feedback, 0.02);
  // Unbiased, at the price of twice the variance.
  const double stochastic = DriftOf(*ParseStateFormat("i8s+sr"), decay, scale);
  EXPECT_NEAR(stochastic, theory * std::sqrt(2.0), 0.25 * theory * std::sqrt(2.0));
  EXPECT_LT(DriftOf(*ParseStateFormat("i16"), decay, scale), nearest / 100);
}

TEST(StateRow, SmallIncrementsSurviveFeedbackAndStochasticRounding) {
  const auto sum = [](const char* name) {
    const int64_t N = 64;
    StateMemory memory(*ParseStateFormat(name), 1, N, 1.0f);
    std::vector<float> h(At(N));
    for (int64_t t = 1; t <= 200; ++t) {
      LoadStateRow(memory.View(), 0, N, h.data());
      for (float& v : h) {
        v += 0.003f;
      }
      StoreStateRow(memory.View(), 0, N, t, h.data());
    }
    double mean = 0;
    for (const float v : memory.Values()) {
      mean += static_cast<double>(v) / N;
    }
    return mean;
  };
  EXPECT_EQ(sum("i8s"), 0) << "0.003 is less than half of 1/127";
  EXPECT_NEAR(sum("i8s+sr"), 0.6, 0.06);
  // Each step is rounded to a sixteenth of 1/127: 0.003 becomes 6 of them.
  EXPECT_NEAR(sum("i8s+ef"), 200 * 6 / 16.0 / 127, 0.01);
}

TEST(StateRow, ExtremesAreDefined) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> values = {5.0f, -5.0f, inf, -inf, nan, 0.0f};
  const auto stored = [&](const char* name) {
    StateMemory memory(*ParseStateFormat(name), 1, std::ssize(values), 127.0f / 128);
    StoreStateRow(memory.View(), 0, std::ssize(values), 1, values.data());
    return memory.Values();
  };
  const float top = 127.0f / 128;
  for (const char* name : {"i8s", "i8s+sr"}) {
    EXPECT_EQ(stored(name), (std::vector<float>{top, -top, top, -top, -top, 0}));
  }
  const float high = top + 7.0f / 16 / 128, low = -top - 0.5f / 128;
  EXPECT_EQ(stored("i8s+ef"), (std::vector<float>{high, low, high, low, low, 0}));
  for (const char* name : {"f16", "f16+sr"}) {
    const std::vector<float> got = stored(name);
    EXPECT_EQ(got[2], inf);
    EXPECT_EQ(got[3], -inf);
    EXPECT_TRUE(std::isnan(got[4]));
  }
}

// A scan of one token without decay, whose input is the wanted value: its store is what is tested.
TEST(StateRow, EveryKernelStoresTheseBits) {
  for (const std::string& name : StateFormatNames()) {
    const StateFormat f = *ParseStateFormat(name);
    for (const int64_t N : {1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 64, 129}) {
      const int64_t I = 7;  // four rows at once, and three alone
      StateMemory memory(f, I, N, 1.0f, /*columns=*/N);
      Rng rng(static_cast<uint64_t>(N));
      const std::vector<float> values = RandomRow(&rng, I * N), x(At(I), 1.0f), dt(At(I), 1.0f);
      const std::vector<float> B = RandomRow(&rng, N), D(At(I)), A(At(I * N), -0.01f);
      for (int64_t i = 0; i < I; ++i) {
        StoreStateRow(memory.View(), i, N, 0, values.data() + i * N);
      }
      const StateMemory start = memory;
      std::vector<float> y(At(I));
      ScanArgs args{};
      args.T = 1;
      args.I = I;
      args.N = N;
      args.period = 1;
      args.channel_end = I;
      args.x = x.data();
      args.dt = dt.data();
      args.B = args.C = B.data();
      args.A = A.data();
      args.D = D.data();
      args.y = y.data();
      args.h = memory.View();
      args.h.position = 17;
      std::vector<float> h(At(N));
      StateMemory want = start;
      StateView want_view = want.View();
      want_view.position = 17;
      for (int64_t i = 0; i < I; ++i) {
        LoadStateRow(want_view, i, N, h.data());
        for (int64_t n = 0; n < N; ++n) {
          h[At(n)] = std::fma(ExpF(-0.01f), h[At(n)], B[At(n)]);
        }
        StoreStateRow(want_view, i, N, 1, h.data());
      }
      ForEachKernel<ScanArgs>(args, [&](const std::string& kernel, auto call) {
        if (kernel.starts_with("scan/ref")) return;
        memory.CopyFrom(start);
        call();
        EXPECT_TRUE(memory == want) << kernel << " " << name << " N=" << N;
      });
    }
  }
}

}  // namespace
}  // namespace octet
