// Contracts:
// 1. Every kernel on every instruction set gives the bits of scan_recurrence/ref: any T, N, period,
//    stride and state format.
// 2. scan_recurrence/ref and scan/ref lie within a derived bound of the formula in double, written
//    here from the paper; y and h.
// 3. A run equals two runs split at a multiple of the period bit for bit, for every kernel and
//    state format; with an fp32 state at any split, and for any period.
// 4. A state of 16 or 8 bits is rounded after each period, and not in between.
// 5. Runs over disjoint channel ranges give the bits of one run and touch nothing else.
// 6. Inputs that are not finite leave the same state.
// 7. Decays that underflow and steps of no decay give finite results close to the formula.
#include "kernels/scan.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "kernels/each_kernel.h"
#include "kernels/ssd_state.h"
#include "kernels/state_testing.h"

namespace octet {
namespace {

constexpr double kEps = 0x1.0p-24;
using testing::Output;
using testing::StateMemory;

StateFormat Format(const std::string& name) {
  return *ParseStateFormat(name);
}

size_t At(int64_t i) {
  return static_cast<size_t>(i);
}

struct Shape {
  int64_t T = 53, I = 21, N = 16, period = 16;
  StateFormat state;
  uint64_t seed = 1;
  bool one_scale = false;  // of a format with static scales, rather than one for each column
  std::string Name() const {
    return fmt::format("T={} I={} N={} period={} state={} seed={} one_scale={}", T, I, N, period,
                       ToText(state), seed, one_scale);
  }
};

// A random scan that owns its memory. Gaps between rows hold NaN.
class Problem {
 public:
  explicit Problem(const Shape& shape) : shape_(shape), rng_(shape.seed) {
    args_.T = shape.T;
    args_.I = shape.I;
    args_.N = shape.N;
    args_.period = shape.period;
    args_.channel_end = shape.I;
    args_.x_stride = shape.I + 3;
    args_.dt_stride = shape.I + 1;
    args_.b_stride = shape.N + 5;
    args_.c_stride = shape.N + 2;
    Fill(&x, args_.x_stride, shape.I, -2.0f, 2.0f);
    Fill(&dt, args_.dt_stride, shape.I, -6.9f, -1.2f);
    for (float& v : dt) {
      v = std::exp(v);
    }
    Fill(&B, args_.b_stride, shape.N, -1.0f, 1.0f);
    Fill(&C, args_.c_stride, shape.N, -1.0f, 1.0f);
    for (int64_t i = 0; i < shape.I * shape.N; ++i) {
      A.push_back(-std::exp(rng_.Uniform(-3.0f, 2.8f)));
      initial_.push_back(rng_.Uniform(-1.0f, 1.0f));
    }
    for (int64_t i = 0; i < shape.I; ++i) {
      D.push_back(rng_.Uniform(-1.0f, 1.0f));
    }
    for (int64_t i = 0; i < shape.I; ++i) {
      StoreStateRow(start_.View(), i, shape.N, 0, initial_.data() + i * shape.N);
    }
    initial_ = start_.Values();  // as its format holds them
    Reset();
  }
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  ScanArgs Args() {
    ScanArgs args = args_;
    args.x = x.data();
    args.dt = dt.data();
    args.B = B.data();
    args.C = C.data();
    args.A = A.data();
    args.D = D.data();
    args.h = memory_.View();
    args.y = y.data();
    return args;
  }
  // The part of `args` over tokens [begin, end).
  static ScanArgs Tokens(ScanArgs args, int64_t begin, int64_t end) {
    args.T = end - begin;
    args.x += begin * args.x_stride;
    args.dt += begin * args.dt_stride;
    args.B += begin * args.b_stride;
    args.C += begin * args.c_stride;
    args.y += begin * args.I;
    args.h.position += begin;
    return args;
  }
  // Back to the initial state; y is NaN.
  void Reset() {
    y.assign(At(shape_.T * shape_.I), std::numeric_limits<float>::quiet_NaN());
    memory_.CopyFrom(start_);
  }
  Output Now() const { return {y, memory_}; }
  std::vector<float> StateValues() const { return memory_.Values(); }
  const std::vector<float>& initial() const { return initial_; }
  const Shape& shape() const { return shape_; }

  std::vector<float> x, dt, B, C, A, D, y;

 private:
  void Fill(std::vector<float>* v, int64_t stride, int64_t columns, float lo, float hi) {
    v->assign(At(shape_.T * stride), std::numeric_limits<float>::quiet_NaN());
    for (int64_t t = 0; t < shape_.T; ++t) {
      for (int64_t c = 0; c < columns; ++c) {
        (*v)[At(t * stride + c)] = rng_.Uniform(lo, hi);
      }
    }
  }

  Shape shape_;
  Rng rng_;
  ScanArgs args_{};
  std::vector<float> initial_;
  StateMemory memory_{shape_.state, shape_.I, shape_.N, 2.0f, shape_.one_scale ? 1 : shape_.N};
  StateMemory start_ = memory_;
};

std::vector<Shape> Shapes() {
  std::vector<Shape> shapes;
  uint64_t seed = 0;
  for (const int64_t T : {1, 2, 15, 16, 17, 53}) {
    for (const int64_t N : {1, 8, 16, 21, 32, 64}) {
      Shape s;
      s.T = T;
      s.N = N;
      s.I = seed % 3 == 0 ? 1 : seed % 3 == 1 ? 16 : 37;
      s.period = seed % 4 == 0 ? 1 : seed % 4 == 1 ? 7 : 16;
      s.state = Format(StateFormatNames()[seed % StateFormatNames().size()]);
      s.seed = ++seed;
      shapes.push_back(s);
    }
  }
  return shapes;
}

void ExpectTheBitsOfTheRecurrence(Problem* problem) {
  const ScanArgs args = problem->Args();
  RunOnce(KernelNamed<ScanArgs>("scan_recurrence/ref"), args);
  const Output want = problem->Now();
  const int kernels = ForEachKernel<ScanArgs>(args, [&](const std::string& name, auto call) {
    if (name.starts_with("scan/ref")) return;
    problem->Reset();
    call();
    EXPECT_TRUE(problem->Now() == want) << name << " " << problem->shape().Name();
  });
  EXPECT_GE(kernels, 2);
}

TEST(Scan, EveryKernelGivesTheBitsOfTheRecurrence) {
  for (const Shape& shape : Shapes()) {
    Problem problem(shape);
    ExpectTheBitsOfTheRecurrence(&problem);
  }
}

// The states of Mamba's published models, 16 values, have a path of their own.
TEST(Scan, SoTheyDoInEveryFormatOfTheState) {
  for (const std::string_view name : StateFormatNames()) {
    for (const int64_t T : {1, 9}) {
      for (const bool one_scale : {false, true}) {
        Problem problem({.T = T,
                         .I = 23,
                         .period = 4,
                         .state = Format(std::string(name)),
                         .one_scale = one_scale});
        ExpectTheBitsOfTheRecurrence(&problem);
      }
    }
  }
}

// Only infinities: the signs of NaN may differ.
TEST(Scan, InputsThatAreNotFiniteLeaveTheSameState) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const std::string_view name : StateFormatNames()) {
    Problem problem({.T = 1, .I = 8, .state = Format(std::string(name))});
    std::ranges::fill(problem.B, 1.0f);
    std::ranges::fill(problem.C, 1.0f);
    problem.x[2] = kInf;
    problem.x[5] = -kInf;
    ExpectTheBitsOfTheRecurrence(&problem);
  }
}

// y and h of the recurrence in double, and the same sums over absolute values.
struct Truth {
  std::vector<double> y, h, y_size, h_size;
};

Truth Recurrence(const ScanArgs& args, const std::vector<float>& initial) {
  Truth out;
  out.h.assign(initial.begin(), initial.end());
  for (const double v : out.h) {
    out.h_size.push_back(std::fabs(v));
  }
  for (int64_t t = 0; t < args.T; ++t) {
    for (int64_t i = 0; i < args.I; ++i) {
      const double dt = args.dt[t * args.dt_stride + i], x = args.x[t * args.x_stride + i];
      double y = args.D[i] * x, size = std::fabs(y);
      for (int64_t n = 0; n < args.N; ++n) {
        const double decay = std::exp(dt * args.A[i * args.N + n]);
        const double input = dt * x * args.B[t * args.b_stride + n];
        const double c = args.C[t * args.c_stride + n];
        double& h = out.h[At(i * args.N + n)];
        double& h_size = out.h_size[At(i * args.N + n)];
        h = decay * h + input;
        h_size = decay * h_size + std::fabs(input);
        y += c * h;
        size += std::fabs(c) * h_size;
      }
      out.y.push_back(y);
      out.y_size.push_back(size);
    }
  }
  return out;
}

// Roundings, in units of kEps, that a term of h or y has seen at most: per token the argument of
// exp (its size), ExpF itself (2e-7), its product with h, and three of the input; then N / 16 + 4
// sums, a product and the skip. One more for the fp32 result of the double kernel.
double Units(const ScanArgs& args) {
  double most = 0;
  for (int64_t t = 0; t < args.T; ++t) {
    for (int64_t i = 0; i < args.I; ++i) {
      for (int64_t n = 0; n < args.N; ++n) {
        const double dt = args.dt[t * args.dt_stride + i];
        most = std::max(most, -dt * args.A[i * args.N + n]);
      }
    }
  }
  return static_cast<double>(args.T) * (most + 3.4 + 2) + 3 + static_cast<double>(args.N) / 16 + 8;
}

void ExpectClose(Problem* problem, const Truth& truth, double units, double absolute,
                 const std::string& who) {
  for (size_t i = 0; i < truth.y.size(); ++i) {
    ASSERT_NEAR(problem->y[i], truth.y[i], units * kEps * truth.y_size[i] + absolute)
        << who << " y " << i << " " << problem->shape().Name();
  }
  const std::vector<float> h = problem->StateValues();
  for (size_t i = 0; i < h.size(); ++i) {
    ASSERT_NEAR(h[i], truth.h[i], units * kEps * truth.h_size[i] + absolute)
        << who << " h " << i << " " << problem->shape().Name();
  }
}

TEST(Scan, ReferencesLieWithinTheBoundOfTheFormula) {
  for (Shape shape : Shapes()) {
    shape.state = {};
    Problem problem(shape);
    const ScanArgs args = problem.Args();
    const Truth truth = Recurrence(args, problem.initial());
    for (const char* name : {"scan_recurrence/ref", "scan/ref"}) {
      problem.Reset();
      RunOnce(KernelNamed<ScanArgs>(name), args);
      // The double kernel errs by one rounding of y, and of h at the end of each period.
      const double units = name == std::string("scan/ref")
                               ? 2.0 + static_cast<double>(shape.T / shape.period)
                               : Units(args);
      ExpectClose(&problem, truth, units, 1e-37, name);
    }
  }
}

TEST(Scan, SplitsAtThePeriodChangeNoBit) {
  for (const std::string& state : StateFormatNames()) {
    Shape shape;
    shape.state = Format(state);
    Problem problem(shape);
    const ScanArgs args = problem.Args();
    for (const auto* kernel : Kernels<ScanArgs>().all()) {
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

TEST(Scan, AnFp32StateDoesNotKnowOfSplitsAndPeriods) {
  Problem problem(Shape{});
  const ScanArgs args = problem.Args();
  const Kernel<ScanArgs>& kernel = Kernels<ScanArgs>().Pick(args, kAllIsas);
  RunOnce(kernel, args);
  const Output whole = problem.Now();
  for (const int64_t split : {1, 13, 31, 52}) {
    problem.Reset();
    RunOnce(kernel, Problem::Tokens(args, 0, split));
    RunOnce(kernel, Problem::Tokens(args, split, args.T));
    EXPECT_TRUE(problem.Now() == whole) << split;
  }
  for (const int64_t period : {1, 5, 1000}) {
    ScanArgs other = args;
    other.period = period;
    problem.Reset();
    RunOnce(kernel, other);
    EXPECT_TRUE(problem.Now() == whole) << period;
  }
}

// With period p the state of tokens 0..2p-1 is rounded at p; in fp32 arithmetic that is the run
// over p tokens, followed by the run that starts from the rounded state. Whether it is rounded in
// between shows against a run of period 1.
TEST(Scan, NarrowStatesAreRoundedAtThePeriodOnly) {
  for (const std::string& state : StateFormatNames()) {
    if (state == "f32") continue;
    Shape shape;
    shape.T = 32;
    shape.state = Format(state);
    Problem problem(shape);
    for (const auto* kernel : Kernels<ScanArgs>().all()) {
      const auto run = [&](int64_t period) {
        ScanArgs args = problem.Args();
        args.period = period;
        problem.Reset();
        if (kernel->why_not(args) == nullptr) RunOnce(*kernel, args);
        return problem.Now();
      };
      const Output at_16 = run(16);
      problem.Reset();
      const ScanArgs args = problem.Args();
      for (int64_t t = 0; t < 32; t += 16) {
        ScanArgs part = Problem::Tokens(args, t, t + 16);
        part.period = 16;
        RunOnce(*kernel, part);
      }
      EXPECT_TRUE(problem.Now() == at_16) << kernel->name;
      EXPECT_FALSE(run(32) == at_16) << kernel->name << ": not rounded at 16";
      EXPECT_FALSE(run(8) == at_16) << kernel->name << ": rounded between";
    }
  }
}

TEST(Scan, ChannelRangesPartitionTheWork) {
  for (const int64_t T : {1, 37}) {
    Shape shape;
    shape.T = T;
    shape.state = Format("i8");
    Problem problem(shape);
    const ScanArgs args = problem.Args();
    const Output before = problem.Now();
    ForEachKernel<ScanArgs>(args, [&](const std::string& name, auto call) {
      problem.Reset();
      call();
      const Output whole = problem.Now();
      const Kernel<ScanArgs>& kernel = KernelNamed<ScanArgs>(name.substr(0, name.find(' ')));
      problem.Reset();
      ScanArgs part = args;
      part.channel_begin = 5;
      part.channel_end = 18;
      RunOnce(kernel, part);
      const Output now = problem.Now();
      for (int64_t i = 0; i < T * shape.I; ++i) {
        const bool inside = i % shape.I >= 5 && i % shape.I < 18;
        ASSERT_EQ(now.y[At(i)], (inside ? whole : before).y[At(i)]) << name << " y " << i;
      }
      for (int64_t i = 0; i < shape.I * shape.N; ++i) {
        const bool inside = i / shape.N >= 5 && i / shape.N < 18;
        ASSERT_EQ(now.codes[At(i)], (inside ? whole : before).codes[At(i)]) << name << " h " << i;
      }
      for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 5}, {18, shape.I}}) {
        part.channel_begin = begin;
        part.channel_end = end;
        RunOnce(kernel, part);
      }
      EXPECT_TRUE(problem.Now() == whole) << name << " T=" << T;
    });
  }
}

TEST(Scan, UnderflowAndNoDecayStayFinite) {
  Problem problem(Shape{});
  const float rates[] = {-1e5f, -1e-30f, -300.0f, -1e30f};
  for (size_t i = 0; i < problem.A.size(); ++i) {
    problem.A[i] = rates[i % 4];
  }
  const ScanArgs args = problem.Args();
  const Truth truth = Recurrence(args, problem.initial());
  // Where ExpF is 0 the truth is below e^-87.
  const double units = static_cast<double>(args.T) * (88 + 3.4 + 2) + 20;
  ForEachKernel<ScanArgs>(args, [&](const std::string& name, auto call) {
    problem.Reset();
    call();
    ExpectClose(&problem, truth, units, 1e-35, name);
  });
}

}  // namespace
}  // namespace octet
