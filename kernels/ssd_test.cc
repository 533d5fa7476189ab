// Contracts:
// 1. The five stages equal the token recurrence: in double, both written here from the formulas, to
//    1e-12; initial state nonzero, T not a multiple of L, several groups.
// 2. Every kernel of the float form lies within a derived bound of that recurrence, y and h.
// 3. A run equals two runs split at a multiple of L bit for bit, for every kernel, state format and
//    form; split anywhere, float kernels stay within the bound of 2.
// 4. The step kernels and the int8 kernels give the same bits on every instruction set.
// 5. Runs over disjoint head ranges give the bits of one run and touch nothing else.
// 6. Decays that underflow, steep cumulative sums and tiny states give finite results.
// 7. Int8 states of any kind, also such as no store leaves, enter a chunk alike for every kernel.
// 8. One kind of kernel accepts each problem; integer gates need static scales.
// 9. Sums and scales that fp32 does not hold become values as the contract says, in double.
// 10. States of zeros, with which sequences begin, are treated like others.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/isa.h"
#include "kernels/ssd_testing.h"

namespace octet {
namespace {

using testing::Accepting;
using testing::RunSsd;
using testing::SsdKernel;
using testing::SsdOutput;
using testing::SsdProblem;
using testing::SsdShape;

constexpr double kEps = 0x1.0p-24;

size_t At(int64_t i) {
  return static_cast<size_t>(i);
}

// y and h of the recurrence in double, and the same sums over absolute values.
struct Truth {
  std::vector<double> y, h, y_size, h_size;
};

double BcValue(const SsdArgs& args, const void* data, int64_t t, int64_t head, int64_t n) {
  const int64_t g = head * args.G / args.H;
  return static_cast<const float*>(data)[t * args.bc_stride + g * args.N + n];
}

double SkipValue(const SsdArgs& args, int64_t head, int64_t p) {
  return args.D_per_channel ? args.D[head * args.P + p] : args.D[head];
}

Truth Recurrence(const SsdArgs& args, const std::vector<float>& initial) {
  Truth out;
  out.h.assign(initial.begin(), initial.end());
  for (const double v : out.h) {
    out.h_size.push_back(std::fabs(v));
  }
  for (int64_t t = 0; t < args.T; ++t) {
    for (int64_t i = 0; i < args.H * args.P; ++i) {
      const int64_t head = i / args.P;
      const double dt = args.dt[t * args.H + head];
      const double x = args.x[t * args.x_stride + i];
      const double decay = std::exp(dt * args.A[head]);
      double y = SkipValue(args, head, i % args.P) * x;
      double size = std::fabs(y);
      for (int64_t n = 0; n < args.N; ++n) {
        const double input = dt * x * BcValue(args, args.B, t, head, n);
        const double c = BcValue(args, args.C, t, head, n);
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

// One head in five stages, in double, straight from the formulas; h [P, N] is updated.
void FiveStages(const SsdArgs& args, int64_t head, std::vector<double>* h, std::vector<double>* y) {
  const int64_t P = args.P;
  const int64_t N = args.N;
  for (int64_t t0 = 0; t0 < args.T; t0 += args.L) {
    const int64_t len = std::min(args.L, args.T - t0);
    std::vector<double> a;
    for (int64_t k = 0; k < len; ++k) {
      a.push_back((k == 0 ? 0.0 : a.back()) +
                  static_cast<double>(args.dt[(t0 + k) * args.H + head]) * args.A[head]);
    }
    const auto dt = [&](int64_t k) { return double{args.dt[(t0 + k) * args.H + head]}; };
    const auto x = [&](int64_t k, int64_t p) {
      return double{args.x[(t0 + k) * args.x_stride + head * P + p]};
    };
    for (int64_t m = 0; m < len; ++m) {
      for (int64_t p = 0; p < P; ++p) {
        double carried = 0.0;
        for (int64_t n = 0; n < N; ++n) {
          carried += (*h)[At(p * N + n)] * BcValue(args, args.C, t0 + m, head, n);
        }
        double sum = std::exp(a[At(m)]) * carried + SkipValue(args, head, p) * x(m, p);
        for (int64_t k = 0; k <= m; ++k) {
          double score = 0.0;
          for (int64_t n = 0; n < N; ++n) {
            score +=
                BcValue(args, args.C, t0 + m, head, n) * BcValue(args, args.B, t0 + k, head, n);
          }
          sum += score * std::exp(a[At(m)] - a[At(k)]) * dt(k) * x(k, p);
        }
        (*y)[At(((t0 + m) * args.H + head) * P + p)] = sum;
      }
    }
    for (int64_t i = 0; i < P * N; ++i) {
      double local = 0.0;
      for (int64_t k = 0; k < len; ++k) {
        local += x(k, i / N) * std::exp(a.back() - a[At(k)]) * dt(k) *
                 BcValue(args, args.B, t0 + k, head, i % N);
      }
      (*h)[At(i)] = std::exp(a.back()) * (*h)[At(i)] + local;
    }
  }
}

TEST(SsdFormulas, FiveStagesEqualTheRecurrenceInDouble) {
  for (const int64_t G : {1, 2, 4}) {
    for (const int64_t L : {1, 16, 64, 256}) {
      SsdShape shape;
      shape.T = 150;
      shape.H = 4;
      shape.P = 3;
      shape.N = 7;
      shape.G = G;
      shape.L = L;
      SsdProblem problem(shape);
      const SsdArgs args = problem.Float();
      const std::vector<float> initial = problem.StateValues();
      const Truth truth = Recurrence(args, initial);
      std::vector<double> y(truth.y.size());
      for (int64_t head = 0; head < args.H; ++head) {
        const auto begin = initial.begin() + head * args.P * args.N;
        std::vector<double> h(begin, begin + args.P * args.N);
        FiveStages(args, head, &h, &y);
        for (int64_t i = 0; i < args.P * args.N; ++i) {
          const size_t at = At(head * args.P * args.N + i);
          ASSERT_NEAR(h[At(i)], truth.h[at], 1e-12 * truth.h_size[at]) << shape.Name();
        }
      }
      for (size_t i = 0; i < y.size(); ++i) {
        ASSERT_NEAR(y[i], truth.y[i], 1e-12 * truth.y_size[i]) << shape.Name();
      }
    }
  }
}

// Relative rounding of any term of y or h, in units of 2^-24, to first order. Per chunk: L
// roundings of a, each below half an ulp of |a_last|, enter exp twice; ExpF errs by 2e-7 = 3.4
// units, three times; the sums of stage 2, the store and stage 3 add L + 8. Within the last chunk:
// sums over n (stages 4 and 5a) and k, with 8 for the products.
double RoundingUnits(const SsdArgs& args) {
  const int64_t L = std::min(args.L, args.T);
  double a_last = 0.0;
  for (int64_t head = 0; head < args.H; ++head) {
    double most = 0.0;
    for (int64_t t = 0; t < args.T; ++t) {
      most = std::max(most, -double{args.dt[t * args.H + head]} * args.A[head]);
    }
    a_last = std::max(a_last, most * static_cast<double>(L));
  }
  const auto chunks = static_cast<double>((args.T + L - 1) / L);
  const auto length = static_cast<double>(L);
  return (chunks + 1) * (2.0 * length * a_last + 3 * 3.4 + length + 8.0) +
         static_cast<double>(args.N) + length + 8.0;
}

void ExpectWithinBound(const SsdProblem& problem, const Truth& truth, double units,
                       const std::string& who) {
  for (size_t i = 0; i < truth.y.size(); ++i) {
    ASSERT_NEAR(problem.y()[i], truth.y[i], units * kEps * truth.y_size[i])
        << who << " y " << i << " " << problem.shape().Name();
  }
  const std::vector<float> h = problem.StateValues();
  for (size_t i = 0; i < h.size(); ++i) {
    ASSERT_NEAR(h[i], truth.h[i], units * kEps * truth.h_size[i])
        << who << " h " << i << " " << problem.shape().Name();
  }
}

std::vector<SsdShape> Shapes() {
  std::vector<SsdShape> shapes;
  uint64_t seed = 0;
  for (const int64_t L : {1, 16, 24}) {
    for (const int64_t T : {int64_t{1}, int64_t{2}, L - 1, L, L + 1, 3 * L + 5}) {
      if (T < 1) continue;
      for (const int64_t G : {1, 2, 4}) {
        SsdShape s;
        s.T = T;
        s.L = L;
        s.G = G;
        s.H = G == 4 ? 8 : 4;
        s.N = seed % 3 == 0 ? 16 : seed % 3 == 1 ? 21 : 128;
        s.P = seed % 2 == 0 ? 5 : seed % 4 == 1 ? 64 : 37;
        s.D_per_channel = seed % 5 < 2;
        s.seed = ++seed;
        shapes.push_back(s);
      }
    }
  }
  return shapes;
}

class SsdPerIsa : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { ASSERT_TRUE(ForceIsa(GetParam()).ok()); }
  void TearDown() override { ASSERT_TRUE(ForceIsa("").ok()); }
  // Kernels for `args` on the instruction set under test.
  static std::vector<const Kernel<SsdArgs>*> Allowed(const SsdArgs& args) {
    std::vector<const Kernel<SsdArgs>*> kernels = Accepting(args);
    std::erase_if(kernels, [](const auto* k) { return (MaskOf(k->isa) & AllowedIsas()) == 0; });
    return kernels;
  }
};
INSTANTIATE_TEST_SUITE_P(Isas, SsdPerIsa, ::testing::ValuesIn(AvailableIsas()),
                         [](const auto& isa) { return isa.param; });

TEST_P(SsdPerIsa, FloatKernelsLieWithinTheBoundOfTheRecurrence) {
  for (const SsdShape& shape : Shapes()) {
    SsdProblem problem(shape);
    const SsdArgs args = problem.Float();
    const Truth truth = Recurrence(args, problem.StateValues());
    std::vector<const Kernel<SsdArgs>*> kernels = Allowed(args);
    ASSERT_FALSE(kernels.empty());
    kernels.push_back(SsdKernel("ssd/ref"));
    for (const auto* kernel : kernels) {
      problem.Reset();
      RunSsd(*kernel, args);
      ExpectWithinBound(problem, truth, RoundingUnits(args), kernel->name);
    }
  }
}

// The forms of one problem.
std::vector<SsdArgs> Forms(SsdProblem* problem) {
  return {problem->Float(), problem->Codes(StatePassing::kFloat),
          problem->Codes(StatePassing::kGateQ7), problem->PerChunk()};
}

TEST_P(SsdPerIsa, RunsSplitAtChunksGiveTheSameBits) {
  for (const std::string& state : StateFormatNames()) {
    SsdShape shape;
    shape.T = 53;
    shape.H = 4;
    shape.G = 2;
    shape.state = *ParseStateFormat(state);
    SsdProblem problem(shape);
    for (const SsdArgs& args : Forms(&problem)) {
      std::vector<const Kernel<SsdArgs>*> kernels = Allowed(args);
      kernels.push_back(SsdKernel("ssd/ref"));
      ASSERT_GE(kernels.size(), 2u);
      for (const auto* kernel : kernels) {
        problem.Reset();
        RunSsd(*kernel, args);
        const SsdOutput whole = problem.Output();
        for (const int64_t split : {16, 32, 48}) {
          problem.Reset();
          RunSsd(*kernel, problem.Tokens(args, 0, split));
          RunSsd(*kernel, problem.Tokens(args, split, shape.T));
          EXPECT_TRUE(problem.Output() == whole)
              << kernel->name << " split=" << split << " " << shape.Name();
        }
      }
    }
  }
}

TEST_P(SsdPerIsa, RunsSplitAnywhereStayWithinTheBound) {
  SsdShape shape;
  shape.T = 53;
  shape.H = 4;
  shape.G = 2;
  SsdProblem problem(shape);
  const SsdArgs args = problem.Float();
  const Truth truth = Recurrence(args, problem.StateValues());
  for (const int64_t split : {1, 2, 15, 17, 31, 51, 52}) {
    problem.Reset();
    for (const SsdArgs& part :
         {problem.Tokens(args, 0, split), problem.Tokens(args, split, shape.T)}) {
      RunSsd(Kernels<SsdArgs>().Pick(part, AllowedIsas()), part);
    }
    ExpectWithinBound(problem, truth, 2.0 * RoundingUnits(args), "split");
  }
}

TEST_P(SsdPerIsa, StepAndInt8KernelsGiveTheSameBits) {
  for (SsdShape shape : Shapes()) {
    shape.state = *ParseStateFormat(StateFormatNames()[shape.seed % StateFormatNames().size()]);
    SsdProblem problem(shape);
    for (const SsdArgs& args : Forms(&problem)) {
      if (shape.T > 1 && args.scales == nullptr) continue;
      RunSsd(*SsdKernel(shape.T == 1 ? "ssd_step/ref" : "ssd_int8/ref"), args);
      const SsdOutput expected = problem.Output();
      for (const auto* kernel : Allowed(args)) {
        problem.Reset();
        RunSsd(*kernel, args);
        EXPECT_TRUE(problem.Output() == expected) << kernel->name << " " << shape.Name();
      }
      problem.Reset();
    }
  }
}

// Sums of products become values by one product in fp32 only where that rounds once: not with
// scales whose product needs more bits, nor beyond 2^24, which here only sums over tokens (the
// first problem) or states (the second) exceed.
TEST_P(SsdPerIsa, SumsThatFloatsDoNotHoldGiveTheSameBits) {
  for (const bool fine : {false, true}) {
    const int64_t sizes[][3] = {{1101, 16, 1101}, {5, 1057, 3}, {37, 80, 16}};
    for (const auto& [T, N, L] : sizes) {
      SsdShape shape;
      shape.T = T;
      shape.N = N;
      shape.L = L;
      shape.fine_scales = fine;
      SsdProblem problem(shape);
      if (T != 37) {
        problem.FillX(0.7f);
        problem.FillCodes(127);
        std::ranges::fill(*problem.mutable_A(), -1e-30f);
        std::ranges::fill(*problem.mutable_dt(), 0.1f);
      }
      for (const SsdArgs& args : {problem.PerChunk(), problem.Codes(StatePassing::kFloat)}) {
        const auto run = [&](const Kernel<SsdArgs>& kernel) {
          problem.Reset();
          if (T != 37) std::fill_n(static_cast<float*>(args.h.data), 10 * shape.N, 0.9f);
          RunSsd(kernel, args);
          return problem.Output();
        };
        const SsdOutput expected = run(*SsdKernel("ssd_int8/ref"));
        for (const auto* kernel : Allowed(args)) {
          EXPECT_TRUE(run(*kernel) == expected) << kernel->name << " " << shape.Name();
        }
      }
    }
  }
}

// What the kernel makes of the problem as it is now, all NaN in y alike: which NaN is up to the
// order of operands.
SsdOutput RunUpToNaN(const Kernel<SsdArgs>& kernel, const SsdArgs& args,
                     const SsdProblem& problem) {
  RunSsd(kernel, args);
  SsdOutput out = problem.Output();
  for (uint32_t& y : out.y) {
    if (std::isnan(std::bit_cast<float>(y))) y = 0x7fc00000u;
  }
  return out;
}

// States whose scale is made at each store, as vectors round them a block of rows at a time: any
// number of channels, and rows whose largest value is zero, tiny, or not finite.
TEST_P(SsdPerIsa, StepsOfPlainCodesGiveTheSameBits) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const float inputs[] = {0.0f, 1e-12f, -1e-30f, kInf, 3e38f, std::nanf(""), -1.5f};
  for (const int64_t P : {1, 3, 4, 7, 16, 23, 64}) {
    for (const int64_t N : {16, 48, 80, 128}) {
      SsdShape shape;
      shape.P = P;
      shape.N = N;
      shape.state = *ParseStateFormat("i8");
      shape.seed = static_cast<uint64_t>(P * N);
      SsdProblem problem(shape);
      (*problem.mutable_A())[1] = -1e5f;  // the second head forgets its state
      for (int64_t i = 0; i < shape.H * P; i += 3) {
        *problem.mutable_x(0, i) = inputs[static_cast<size_t>(i) % std::size(inputs)];
      }
      for (const SsdArgs& args : Forms(&problem)) {
        const auto run = [&](const Kernel<SsdArgs>& kernel) {
          problem.Reset();
          return RunUpToNaN(kernel, args, problem);
        };
        const SsdOutput expected = run(*SsdKernel("ssd_step/ref"));
        for (const auto* kernel : Allowed(args)) {
          EXPECT_TRUE(run(*kernel) == expected) << kernel->name << " P=" << P << " N=" << N;
        }
      }
    }
  }
}

// Rows of plain codes enter a chunk as they are only where quantizing them anew would change
// nothing: not where no code is 127, nor with a scale that a store would not make.
TEST_P(SsdPerIsa, PlainCodesOfAnyKindEnterAChunkAlike) {
  const float scales[] = {0.0123f, std::numeric_limits<float>::infinity(), 1e-30f, 3e37f, 0x1p-40f};
  for (const int64_t P : {4, 7, 37, 64}) {
    for (const int64_t N : {16, 80, 128}) {
      SsdShape shape;
      shape.T = 11;
      shape.L = 4;
      shape.P = P;
      shape.N = N;
      shape.state = *ParseStateFormat("i8");
      shape.seed = static_cast<uint64_t>(P + N);
      SsdProblem problem(shape);
      const SsdArgs args = problem.PerChunk();
      const auto run = [&](const Kernel<SsdArgs>& kernel) {
        problem.Reset();
        auto* codes = static_cast<int8_t*>(args.h.data);
        for (int64_t i = 0; i < shape.H * P; ++i, codes += N) {
          // Rows that share a wait share a kind; those of kind 8 are as a store left them.
          const auto kind = static_cast<size_t>(i / 4 % 9);
          if (kind < std::size(scales)) args.h.scales[i] = scales[kind];
          if (kind == 5) codes[3] = -128;
          for (int64_t n = 0; n < N && (kind == 6 || kind == 7); ++n) {
            codes[n] = static_cast<int8_t>(kind == 6 ? codes[n] / 2 : 0);
          }
        }
        return RunUpToNaN(kernel, args, problem);
      };
      const SsdOutput expected = run(*SsdKernel("ssd_int8/ref"));
      for (const auto* kernel : Allowed(args)) {
        EXPECT_TRUE(run(*kernel) == expected) << kernel->name << " P=" << P << " N=" << N;
      }
    }
  }
}

// Kernels may pass over a state of zeros, with which sequences begin, but not over one that only
// begins with zeros.
TEST_P(SsdPerIsa, StatesOfZerosGiveTheSameBits) {
  SsdShape shape;
  shape.T = 37;
  shape.P = 16;  // without padding, so that the last value is the last word
  shape.N = 80;
  SsdProblem problem(shape);
  const int64_t rows = shape.H * shape.P;
  for (const float last : {0.0f, 1.0f}) {
    const auto begin = [&](const SsdArgs& args) {
      problem.Reset();
      auto* h = static_cast<float*>(args.h.data);
      std::fill_n(h, rows * shape.N, 0.0f);
      h[rows * shape.N - 1] = last;
    };
    begin(problem.Float());
    const Truth truth = Recurrence(problem.Float(), problem.StateValues());
    for (const SsdArgs& args : Forms(&problem)) {
      begin(args);
      RunSsd(*SsdKernel(args.scales == nullptr ? "ssd_chunked/ref" : "ssd_int8/ref"), args);
      const SsdOutput expected = problem.Output();
      for (const auto* kernel : Allowed(args)) {
        begin(args);
        RunSsd(*kernel, args);
        if (args.scales == nullptr) {
          ExpectWithinBound(problem, truth, RoundingUnits(args), kernel->name);
        } else {
          EXPECT_TRUE(problem.Output() == expected) << kernel->name << " last " << last;
        }
      }
    }
  }
}

TEST_P(SsdPerIsa, HeadRangesPartitionTheWork) {
  for (const int64_t T : {1, 37}) {
    SsdShape shape;
    shape.T = T;
    shape.H = 8;
    shape.G = 2;
    shape.state = *ParseStateFormat("i8");
    SsdProblem problem(shape);
    for (const SsdArgs& args : Forms(&problem)) {
      std::vector<const Kernel<SsdArgs>*> kernels = Allowed(args);
      kernels.push_back(SsdKernel("ssd/ref"));
      for (const auto* kernel : kernels) {
        problem.Reset();
        const SsdOutput before = problem.Output();
        RunSsd(*kernel, args);
        const SsdOutput whole = problem.Output();
        problem.Reset();
        const std::pair<int64_t, int64_t> ranges[] = {{3, 6}, {0, 3}, {6, 8}};
        for (const auto& [begin, end] : ranges) {
          SsdArgs part = args;
          part.head_begin = begin;
          part.head_end = end;
          RunSsd(*kernel, part);
          if (begin != 3) continue;
          const SsdOutput now = problem.Output();
          for (int64_t i = 0; i < T * shape.H * shape.P; ++i) {
            const int64_t head = i / shape.P % shape.H;
            const auto& expected = head >= 3 && head < 6 ? whole.y : before.y;
            ASSERT_EQ(now.y[At(i)], expected[At(i)]) << kernel->name << " head " << head;
          }
          for (int64_t i = 0; i < shape.H * shape.P * shape.N; ++i) {
            const int64_t head = i / shape.N / shape.P;
            const auto& expected = head >= 3 && head < 6 ? whole.h : before.h;
            ASSERT_EQ(now.h[At(i)], expected[At(i)]) << kernel->name << " head " << head;
          }
        }
        EXPECT_TRUE(problem.Output() == whole) << kernel->name << " T=" << T;
      }
    }
  }
}

TEST_P(SsdPerIsa, UnderflowAndSteepSumsStayFinite) {
  SsdShape shape;
  shape.T = 70;
  shape.H = 4;
  shape.L = 64;
  SsdProblem problem(shape);
  // Decay to zero within one token; a = -640 at the end of a chunk, exp(-a) overflows; none at all;
  // denormal products.
  *problem.mutable_A() = {-1e4f, -100.0f, -1e-30f, -13.0f};
  std::fill(problem.mutable_dt()->begin(), problem.mutable_dt()->end(), 0.1f);
  const Truth truth = Recurrence(problem.Float(), problem.StateValues());
  const SsdArgs args = problem.Float();
  for (const auto* kernel : Allowed(args)) {
    problem.Reset();
    RunSsd(*kernel, args);
    // Below the smallest normal number, or where ExpF is 0, errors are absolute.
    for (size_t i = 0; i < truth.y.size(); ++i) {
      const double bound = RoundingUnits(args) * kEps * truth.y_size[i] + 1e-36;
      ASSERT_NEAR(problem.y()[i], truth.y[i], bound) << kernel->name << " " << i;
    }
  }
  for (const SsdArgs& codes : Forms(&problem)) {
    for (const auto* kernel : Allowed(codes)) {
      problem.Reset();
      RunSsd(*kernel, codes);
      for (const float v : problem.y()) {
        ASSERT_TRUE(std::isfinite(v)) << kernel->name;
      }
      for (const float v : problem.StateValues()) {
        ASSERT_TRUE(std::isfinite(v)) << kernel->name;
      }
    }
  }
}

TEST(SsdKernels, EachProblemHasOneKindOfKernel) {
  const auto names = [](const SsdArgs& args) {
    std::vector<std::string> list;
    for (const auto* kernel : Accepting(args)) {
      if (kernel->isa == Isa::kScalar) list.emplace_back(kernel->name);
    }
    return list;
  };
  SsdShape shape;
  SsdProblem one(shape);
  shape.T = 2;
  SsdProblem two(shape);
  const SsdTap tap = {};
  SsdArgs gated = two.Float();  // the integer gate is simulated by the reference alone
  gated.tap = &tap;
  gated.gate_q7_scale = two.scales().state;
  using Names = std::vector<std::string>;
  EXPECT_EQ(names(one.Float()), Names{"ssd_step/ref"});
  EXPECT_EQ(names(one.Codes(StatePassing::kGateQ7)), Names{"ssd_step/ref"});
  EXPECT_EQ(names(two.Float()), Names{"ssd_chunked/ref"});
  EXPECT_EQ(names(two.Codes(StatePassing::kFloat)), Names{"ssd_int8/ref"});
  EXPECT_EQ(names(one.PerChunk()), Names{"ssd_step/ref"});
  for (const int sites : {1, 2, 4, 7}) {
    SsdArgs per_chunk = two.PerChunk(sites);
    EXPECT_EQ(names(per_chunk), Names{"ssd_int8/ref"}) << sites;
    per_chunk.passing = StatePassing::kGateQ7;
    EXPECT_TRUE(Accepting(per_chunk).empty()) << sites;
  }
  EXPECT_EQ(std::string(Kernels<SsdArgs>().Pick(gated, kAllIsas).name), "ssd_chunked/ref");
}

}  // namespace
}  // namespace octet
