// Contracts:
// 1. Every kernel on every instruction set gives the bits of s4d_recurrence/ref: any T, N, period,
//    stride and state format; y, the state, and what its stores were given.
// 2. s4d_recurrence/ref and s4d/ref lie within a derived bound of the formula in complex double,
//    written here from the paper; y and the state.
// 3. A run equals two runs split at a multiple of the period bit for bit, for every kernel and
//    state format; with an fp32 state at any split, and for any period.
// 4. A state of 16 or 8 bits is rounded after each period, and not in between.
// 5. Runs over disjoint head ranges give the bits of one run and touch nothing else.
// 6. Modes without decay, without memory and with denormal states stay close to the formula.
// 7. A NaN of one head's input stays in that head, from its token on.
#include "kernels/s4d.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "kernels/each_kernel.h"
#include "kernels/floats_testing.h"
#include "kernels/ssd_state.h"
#include "kernels/state_testing.h"

namespace octet {
namespace {

constexpr double kEps = 0x1.0p-24;
using testing::Bits;
using testing::Output;
using testing::StateMemory;

StateFormat Format(const std::string& name) {
  return *ParseStateFormat(name);
}

size_t At(int64_t i) {
  return static_cast<size_t>(i);
}

struct Shape {
  int64_t T = 53, H = 21, N = 17, period = 16;
  StateFormat state;
  uint64_t seed = 1;
  std::string Name() const {
    return fmt::format("T={} H={} N={} period={} state={} seed={}", T, H, N, period, ToText(state),
                       seed);
  }
};

// A random layer that owns its memory. Gaps between rows of u hold NaN.
class Problem {
 public:
  explicit Problem(const Shape& shape) : shape_(shape), rng_(shape.seed) {
    args_.T = shape.T;
    args_.H = shape.H;
    args_.N = shape.N;
    args_.period = shape.period;
    args_.head_end = shape.H;
    args_.u_stride = shape.H + 3;
    u.assign(At(shape.T * args_.u_stride), std::numeric_limits<float>::quiet_NaN());
    for (int64_t t = 0; t < shape.T; ++t) {
      for (int64_t h = 0; h < shape.H; ++h) {
        u[At(t * args_.u_stride + h)] = rng_.Uniform(-2.0f, 2.0f);
      }
    }
    const int64_t values = shape.H * 2 * shape.N;
    A.resize(At(values));
    for (int64_t h = 0; h < shape.H; ++h) {
      for (int64_t n = 0; n < shape.N; ++n) {
        SetA(h, n, 1 - std::exp(rng_.Uniform(-7.0f, -0.7f)), rng_.Uniform(-3.1f, 3.1f));
      }
      D.push_back(rng_.Uniform(-1.0f, 1.0f));
    }
    std::vector<float> initial;
    for (int64_t i = 0; i < values; ++i) {
      B.push_back(rng_.Uniform(-0.3f, 0.3f));
      C.push_back(rng_.Uniform(-1.0f, 1.0f));
      initial.push_back(rng_.Uniform(-1.0f, 1.0f));
    }
    for (int64_t h = 0; h < shape.H; ++h) {
      StoreStateRow(start_.View(), h, 2 * shape.N, 0, initial.data() + h * 2 * shape.N);
    }
    Reset();
  }
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  void SetA(int64_t h, int64_t n, float radius, float angle) {
    A[At((2 * h) * shape_.N + n)] = radius * std::cos(angle);
    A[At((2 * h + 1) * shape_.N + n)] = radius * std::sin(angle);
  }
  S4dArgs Args() {
    S4dArgs args = args_;
    args.u = u.data();
    args.A = A.data();
    args.B = B.data();
    args.C = C.data();
    args.D = D.data();
    args.x = memory_.View();
    args.y = y.data();
    return args;
  }
  // The part of `args` over tokens [begin, end).
  static S4dArgs Tokens(S4dArgs args, int64_t begin, int64_t end) {
    args.T = end - begin;
    args.u += begin * args.u_stride;
    args.y += begin * args.H;
    args.x.position += begin;
    return args;
  }
  // Back to the initial state; y is NaN.
  void Reset() {
    y.assign(At(shape_.T * shape_.H), std::numeric_limits<float>::quiet_NaN());
    memory_.CopyFrom(start_);
  }
  Output Now() const { return {y, memory_}; }
  std::vector<float> StateValues() const { return memory_.Values(); }
  std::vector<float> Initial() const { return start_.Values(); }  // as its format holds them
  const Shape& shape() const { return shape_; }

  std::vector<float> u, A, B, C, D, y;

 private:
  Shape shape_;
  Rng rng_;
  S4dArgs args_{};
  StateMemory memory_{shape_.state, shape_.H, 2 * shape_.N, 3.0f, 2 * shape_.N};
  StateMemory start_ = memory_;
};

std::vector<Shape> Shapes() {
  std::vector<Shape> shapes;
  uint64_t seed = 0;
  for (const int64_t T : {1, 2, 15, 16, 17, 53, 300}) {
    for (const int64_t N : {1, 5, 16, 17, 32, 33, 64}) {
      Shape s;
      s.T = T;
      s.N = N;
      s.H = seed % 3 == 0 ? 1 : seed % 3 == 1 ? 16 : 19;
      s.period = seed % 4 == 0 ? 1 : seed % 4 == 1 ? 7 : seed % 4 == 2 ? 16 : 256;
      s.state = Format(StateFormatNames()[seed % StateFormatNames().size()]);
      s.seed = ++seed;
      shapes.push_back(s);
    }
  }
  for (const std::string& state : StateFormatNames()) {
    for (const int64_t N : {1, 5, 16, 17, 32, 33}) {
      Shape s;
      s.N = N;
      s.H = 3;
      s.state = Format(state);
      s.seed = ++seed;
      shapes.push_back(s);
    }
  }
  return shapes;
}

TEST(S4d, EveryKernelGivesTheBitsOfTheRecurrence) {
  for (const Shape& shape : Shapes()) {
    Problem problem(shape);
    const S4dArgs args = problem.Args();
    RunOnce(KernelNamed<S4dArgs>("s4d_recurrence/ref"), args);
    const Output want = problem.Now();
    const int kernels = ForEachKernel<S4dArgs>(args, [&](const std::string& name, auto call) {
      if (name.starts_with("s4d/ref")) return;
      problem.Reset();
      call();
      EXPECT_TRUE(problem.Now() == want) << name << " " << shape.Name();
    });
    EXPECT_GE(kernels, 2);
  }
}

TEST(S4d, EveryKernelShowsTheStatesThatItStored) {
  for (const std::string& state : StateFormatNames()) {
    Shape shape;
    shape.state = Format(state);
    Problem problem(shape);
    S4dArgs args = problem.Args();
    std::vector<float> unrounded(At(shape.H * 2 * shape.N));
    args.x.unrounded = unrounded.data();
    RunOnce(KernelNamed<S4dArgs>("s4d_recurrence/ref"), args);
    const std::vector<uint32_t> want = Bits(unrounded);
    const Output output = problem.Now();
    ForEachKernel<S4dArgs>(args, [&](const std::string& name, auto call) {
      if (name.starts_with("s4d/ref")) return;
      std::fill(unrounded.begin(), unrounded.end(), 0.0f);
      problem.Reset();
      call();
      EXPECT_TRUE(Bits(unrounded) == want && problem.Now() == output) << name << " " << state;
    });
  }
}

// y and the state of the recurrence in complex double, and the same sums over absolute values.
struct Truth {
  std::vector<double> y, y_size;
  std::vector<std::complex<double>> x;
  std::vector<double> x_size;
};

Truth Recurrence(const S4dArgs& args, const std::vector<float>& initial) {
  const int64_t N = args.N;
  const auto mode = [N](const float* values, int64_t h, int64_t n) {
    return std::complex<double>(values[2 * h * N + n], values[(2 * h + 1) * N + n]);
  };
  Truth out;
  for (int64_t i = 0; i < args.H * N; ++i) {
    out.x.push_back(mode(initial.data(), i / N, i % N));
    out.x_size.push_back(std::abs(out.x.back()));
  }
  for (int64_t t = 0; t < args.T; ++t) {
    for (int64_t h = 0; h < args.H; ++h) {
      const double u = args.u[t * args.u_stride + h];
      std::complex<double> y = 0;
      double size = 0;
      for (int64_t n = 0; n < N; ++n) {
        std::complex<double>& x = out.x[At(h * N + n)];
        double& x_size = out.x_size[At(h * N + n)];
        x = mode(args.A, h, n) * x + mode(args.B, h, n) * u;
        x_size = std::abs(mode(args.A, h, n)) * x_size + std::abs(mode(args.B, h, n) * u);
        y += mode(args.C, h, n) * x;
        size += std::abs(mode(args.C, h, n)) * x_size;
      }
      out.y.push_back(args.D[h] * u + y.real());
      out.y_size.push_back(std::fabs(args.D[h] * u) + size);
    }
  }
  return out;
}

// Roundings, in units of kEps, that a state has seen at most: three for each part of a mode and
// token, so sqrt(2) times as many for the mode. An earlier token's error decays as its state does.
double StateUnits(const S4dArgs& args) {
  return static_cast<double>(args.T) * 3 * std::sqrt(2.0) + 1;
}

// ... and y: two for each mode of a lane, four folds and the skip.
double OutputUnits(const S4dArgs& args) {
  return StateUnits(args) + 2 * static_cast<double>((args.N + 15) / 16) + 5;
}

void ExpectClose(const Problem& problem, const Truth& truth, double x_units, double y_units,
                 const std::string& who) {
  constexpr double kDenormal = 1e-40;
  const std::string name = who + " " + problem.shape().Name();
  for (size_t i = 0; i < truth.y.size(); ++i) {
    ASSERT_NEAR(problem.y[i], truth.y[i], y_units * kEps * truth.y_size[i] + kDenormal)
        << name << " y " << i;
  }
  const std::vector<float> x = problem.StateValues();
  const size_t N = At(problem.shape().N);
  for (size_t i = 0; i < truth.x.size(); ++i) {
    const double bound = x_units * kEps * truth.x_size[i] + kDenormal;
    const size_t re = i / N * 2 * N + i % N;
    ASSERT_NEAR(x[re], truth.x[i].real(), bound) << name << " re " << i;
    ASSERT_NEAR(x[re + N], truth.x[i].imag(), bound) << name << " im " << i;
  }
}

TEST(S4d, ReferencesLieWithinTheBoundOfTheFormula) {
  for (Shape shape : Shapes()) {
    shape.state = {};
    Problem problem(shape);
    const S4dArgs args = problem.Args();
    const Truth truth = Recurrence(args, problem.Initial());
    RunOnce(KernelNamed<S4dArgs>("s4d_recurrence/ref"), args);
    ExpectClose(problem, truth, StateUnits(args), OutputUnits(args), "s4d_recurrence/ref");
    // The double kernel errs by one rounding of y, and of both parts of a mode at each store.
    problem.Reset();
    RunOnce(KernelNamed<S4dArgs>("s4d/ref"), args);
    const double stores = std::ceil(static_cast<double>(shape.T) / shape.period);
    ExpectClose(problem, truth, 1.5 * stores, 1.5 * stores + 1, "s4d/ref");
  }
}

TEST(S4d, SplitsAtThePeriodChangeNoBit) {
  for (const std::string& state : StateFormatNames()) {
    Shape shape;
    shape.state = Format(state);
    Problem problem(shape);
    const S4dArgs args = problem.Args();
    for (const auto* kernel : Kernels<S4dArgs>().all()) {
      if (kernel->why_not(args) != nullptr) continue;
      problem.Reset();
      RunOnce(*kernel, args);
      const Output whole = problem.Now();
      for (const int64_t split : {16, 32, 48}) {
        problem.Reset();
        RunOnce(*kernel, Problem::Tokens(args, 0, split));
        RunOnce(*kernel, Problem::Tokens(args, split, shape.T));
        EXPECT_TRUE(problem.Now() == whole) << kernel->name << " split=" << split << shape.Name();
      }
    }
  }
}

TEST(S4d, AnFp32StateDoesNotKnowOfSplitsAndPeriods) {
  Shape shape;
  shape.T = 301;
  Problem problem(shape);
  const S4dArgs args = problem.Args();
  const Kernel<S4dArgs>& kernel = Kernels<S4dArgs>().Pick(args, kAllIsas);
  RunOnce(kernel, args);
  const Output whole = problem.Now();
  for (const int64_t split : {1, 13, 128, 300}) {
    problem.Reset();
    RunOnce(kernel, Problem::Tokens(args, 0, split));
    RunOnce(kernel, Problem::Tokens(args, split, args.T));
    EXPECT_TRUE(problem.Now() == whole) << split;
  }
  for (const int64_t period : {1, 5, 200, 1000}) {
    S4dArgs other = args;
    other.period = period;
    problem.Reset();
    RunOnce(kernel, other);
    EXPECT_TRUE(problem.Now() == whole) << period;
  }
}

// Two calls of one period each round once each. Whether one call over both rounds there, and
// nowhere else, shows against runs of half and of twice the period.
TEST(S4d, NarrowStatesAreRoundedAtThePeriodOnly) {
  for (const std::string& state : StateFormatNames()) {
    if (state == "f32") continue;
    Shape shape;
    shape.T = 32;
    shape.state = Format(state);
    Problem problem(shape);
    for (const auto* kernel : Kernels<S4dArgs>().all()) {
      const auto run = [&](int64_t period) {
        S4dArgs args = problem.Args();
        args.period = period;
        problem.Reset();
        if (kernel->why_not(args) == nullptr) RunOnce(*kernel, args);
        return problem.Now();
      };
      const Output at_16 = run(16);
      problem.Reset();
      const S4dArgs args = problem.Args();
      for (int64_t t = 0; t < 32; t += 16) {
        RunOnce(*kernel, Problem::Tokens(args, t, t + 16));
      }
      EXPECT_TRUE(problem.Now() == at_16) << kernel->name;
      EXPECT_FALSE(run(32) == at_16) << kernel->name << ": not rounded at 16";
      EXPECT_FALSE(run(8) == at_16) << kernel->name << ": rounded between";
    }
  }
}

TEST(S4d, HeadRangesPartitionTheWork) {
  for (const int64_t T : {1, 37}) {
    Shape shape;
    shape.T = T;
    shape.state = Format("i8");
    Problem problem(shape);
    const S4dArgs args = problem.Args();
    const Output before = problem.Now();
    const int64_t width = 2 * shape.N;
    ForEachKernel<S4dArgs>(args, [&](const std::string& name, auto call) {
      problem.Reset();
      call();
      const Output whole = problem.Now();
      const Kernel<S4dArgs>& kernel = KernelNamed<S4dArgs>(name.substr(0, name.find(' ')));
      problem.Reset();
      S4dArgs part = args;
      part.head_begin = 2;
      part.head_end = 19;
      RunOnce(kernel, part);
      const Output now = problem.Now();
      const auto expected = [&](int64_t h) -> const Output& {
        return h >= part.head_begin && h < part.head_end ? whole : before;
      };
      for (int64_t i = 0; i < T * shape.H; ++i) {
        ASSERT_EQ(now.y[At(i)], expected(i % shape.H).y[At(i)]) << name << " y " << i;
      }
      for (int64_t i = 0; i < shape.H * width; ++i) {
        ASSERT_EQ(now.codes[At(i)], expected(i / width).codes[At(i)]) << name << " x " << i;
      }
      for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 2}, {19, shape.H}}) {
        part.head_begin = begin;
        part.head_end = end;
        RunOnce(kernel, part);
      }
      EXPECT_TRUE(problem.Now() == whole) << name << " T=" << T;
    });
  }
}

TEST(S4d, ExtremeModesStayCloseToTheFormula) {
  Problem problem(Shape{});
  const Shape& shape = problem.shape();
  const float radii[] = {1.0f, 0.0f, 1e-20f, 0.999999f};
  for (int64_t i = 0; i < shape.H * shape.N; ++i) {
    problem.SetA(i / shape.N, i % shape.N, radii[i % 4], static_cast<float>(i));
  }
  for (int64_t t = 5; t < shape.T; ++t) {  // then what is left of the states alone
    std::fill_n(problem.u.begin() + t * (shape.H + 3), shape.H, 0.0f);
  }
  const S4dArgs args = problem.Args();
  const Truth truth = Recurrence(args, problem.Initial());
  ForEachKernel<S4dArgs>(args, [&](const std::string& name, auto call) {
    problem.Reset();
    call();
    ExpectClose(problem, truth, StateUnits(args), OutputUnits(args), name);
  });
}

TEST(S4d, NanStaysInItsHead) {
  Problem problem(Shape{});
  const Shape& shape = problem.shape();
  const S4dArgs args = problem.Args();
  problem.u[At(20 * args.u_stride + 3)] = std::numeric_limits<float>::quiet_NaN();
  ForEachKernel<S4dArgs>(args, [&](const std::string& name, auto call) {
    problem.Reset();
    call();
    for (int64_t i = 0; i < shape.T * shape.H; ++i) {
      const bool poisoned = i % shape.H == 3 && i / shape.H >= 20;
      ASSERT_EQ(std::isnan(problem.y[At(i)]), poisoned) << name << " y " << i;
    }
  });
}

}  // namespace
}  // namespace octet
