// Contracts:
// 1. A simulated run, ssd_chunked/ref on decoded B and C whose tap replaces X_s, the scores and the
//    state by decoded codes (in kGateQ7 the local state too), equals every int8 kernel bit for bit
//    in y and h: for every code that X_s can have, for both ways of passing the state, all state
//    formats, shapes with tails, and codes at their extremes; with any of the scales made per chunk
//    from the values that the tap sees.
// 2. T = 1: the float form on decoded B and C equals the int8 form bit for bit.
// 3. kGateQ7 follows s = ((s g + 64) >> 7) + local, written out here in integers.
// 4. int8 results lie within the sum of the half steps of its quantizers around the recurrence,
//    whatever the code of X_s.
// 5. Scales per chunk follow a spike that saturates static scales.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/isa.h"
#include "kernels/ssd_testing.h"

namespace octet {
namespace {

using testing::RunSsd;
using testing::SsdKernel;
using testing::SsdOutput;
using testing::SsdProblem;
using testing::SsdShape;

struct Simulation {
  const SsdScales* scales;
  StatePassing passing;
};

// What a code can hold of values that share a scale: `count` of them from `first` on, `stride`
// apart. Without `scale`, with that of the largest.
void FakeQuantize(float* first, int64_t count, int64_t stride, const float* scale,
                  Codec codec = Codec::kUniform) {
  float absmax = 0.0f;
  for (int64_t i = 0; i < count; ++i) {
    absmax = std::max(absmax, std::fabs(first[i * stride]));
  }
  // The rules of FitCodec: se8s puts the largest at the end of its middle segment.
  const float own = ScaleForAbsMax(absmax, codec == Codec::kSe8s ? 71.0f : 127.0f);
  for (int64_t i = 0; i < count; ++i) {
    float& value = first[i * stride];
    value = octet::FakeQuantize(codec, value, scale != nullptr ? *scale : own, 0);
  }
}

const float* Element(const float* scales, int64_t i) {
  return scales == nullptr ? nullptr : scales + i;
}

void At(void* context, SsdSite site, int64_t index, float* values, int64_t rows, int64_t cols) {
  const Simulation& sim = *static_cast<const Simulation*>(context);
  switch (site) {
    case SsdSite::kXScaled:
      for (int64_t p = 0; p < cols; ++p) {
        FakeQuantize(values + p, rows, cols, Element(sim.scales->x_scaled, index * cols + p),
                     sim.scales->x_scaled_codec);
      }
      return;
    case SsdSite::kScore:
      FakeQuantize(values, rows * cols, 1, Element(sim.scales->score, index));
      return;
    case SsdSite::kLocalState:
      if (sim.passing == StatePassing::kFloat) return;
      [[fallthrough]];
    case SsdSite::kState:
      for (int64_t p = 0; p < rows; ++p) {
        FakeQuantize(values + p * cols, cols, 1, Element(sim.scales->state, index * rows + p));
      }
      return;
  }
}

// The simulated run that belongs to `codes`, an int8 form of the problem.
SsdOutput Simulate(SsdProblem* problem, const SsdArgs& codes) {
  Simulation sim = {codes.scales, codes.passing};
  const SsdTap tap = {At, &sim};
  SsdArgs args = problem->Float();
  args.tap = &tap;
  if (codes.passing == StatePassing::kGateQ7) args.gate_q7_scale = codes.scales->state;
  problem->Reset();
  RunSsd(*SsdKernel("ssd_chunked/ref"), args);
  return problem->Output();
}

class SimulationPerIsa : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { ASSERT_TRUE(ForceIsa(GetParam()).ok()); }
  void TearDown() override { ASSERT_TRUE(ForceIsa("").ok()); }
};
INSTANTIATE_TEST_SUITE_P(Isas, SimulationPerIsa, ::testing::ValuesIn(AvailableIsas()),
                         [](const auto& isa) { return isa.param; });

std::vector<SsdShape> Shapes() {
  std::vector<SsdShape> shapes;
  uint64_t seed = 100;
  for (const int64_t L : {1, 6, 16}) {
    for (const int64_t T : {int64_t{2}, L - 1, L, L + 1, 3 * L + 5}) {
      if (T < 2) continue;
      for (const int64_t G : {1, 2, 4}) {
        SsdShape s;
        s.T = T;
        s.L = L;
        s.G = G;
        s.H = G == 4 ? 8 : 4;
        s.N = G == 1 ? 16 : 21;
        s.P = G == 2 ? 20 : 5;
        s.D_per_channel = G == 2;
        s.seed = ++seed;
        s.state = *ParseStateFormat(StateFormatNames()[seed % StateFormatNames().size()]);
        shapes.push_back(s);
      }
    }
  }
  return shapes;
}

void ExpectSimulationEqualsInt8(SsdProblem* problem, const std::vector<SsdArgs>& forms) {
  for (const SsdArgs& args : forms) {
    const SsdOutput simulated = Simulate(problem, args);
    int kernels = 0;
    for (const auto* kernel : testing::Accepting(args)) {
      if ((MaskOf(kernel->isa) & AllowedIsas()) == 0) continue;
      ++kernels;
      problem->Reset();
      RunSsd(*kernel, args);
      EXPECT_TRUE(problem->Output() == simulated)
          << kernel->name << " passing=" << static_cast<int>(args.passing)
          << " X_s: " << CodecName(args.scales->x_scaled_codec)
          << " per chunk: " << (args.scales->x_scaled == nullptr ? "x_scaled " : "")
          << (args.scales->score == nullptr ? "score " : "")
          << (args.scales->state == nullptr ? "state " : "") << problem->shape().Name();
    }
    EXPECT_GT(kernels, 0);
  }
}

// Those that sum in units; int8 first.
constexpr Codec kXScaledCodecs[] = {Codec::kUniform, Codec::kSe8s, Codec::kSe9, Codec::kInt16};

void ExpectSimulationEqualsInt8(SsdProblem* problem) {
  std::vector<SsdArgs> forms = {problem->Codes(StatePassing::kGateQ7)};
  for (int sites = 0; sites < 8; ++sites) {
    forms.push_back(problem->PerChunk(sites));
  }
  ExpectSimulationEqualsInt8(problem, forms);
  for (const Codec codec : kXScaledCodecs) {
    if (codec == Codec::kUniform) continue;
    problem->SetXScaledCodec(codec);
    ExpectSimulationEqualsInt8(problem,
                               {problem->Codes(StatePassing::kGateQ7), problem->PerChunk(1)});
  }
}

void ExpectSimulationEqualsInt8(const SsdShape& shape) {
  SsdProblem problem(shape);
  ExpectSimulationEqualsInt8(&problem);
}

TEST_P(SimulationPerIsa, SimulatedRunEqualsInt8RunOnOddShapes) {
  for (const SsdShape& shape : Shapes()) {
    ExpectSimulationEqualsInt8(shape);
  }
}

TEST_P(SimulationPerIsa, SimulatedRunEqualsInt8RunOnModelShapes) {
  for (const char* state : {"f32", "f16", "i16+sr", "i8", "i8s+ef"}) {
    SsdShape shape;
    shape.T = 3 * 64 + 5;
    shape.P = 64;
    shape.N = 128;
    shape.L = 64;
    shape.state = *ParseStateFormat(state);
    ExpectSimulationEqualsInt8(shape);
  }
}

TEST_P(SimulationPerIsa, SimulatedRunEqualsInt8RunWithCodesAtTheirExtremes) {
  SsdShape shape;
  shape.T = 300;
  shape.P = 5;
  shape.N = 128;
  shape.L = 256;
  shape.extreme = true;
  ExpectSimulationEqualsInt8(shape);
}

// Channel 3 of head 0 forgets slowly; the chunk from token 16 on brings it a value a thousand times
// the others.
constexpr int64_t kSpikeChannel = 3;
std::unique_ptr<SsdProblem> SpikeProblem() {
  SsdShape shape;
  shape.T = 53;
  shape.H = 4;
  shape.G = 2;
  auto problem = std::make_unique<SsdProblem>(shape);
  problem->mutable_A()->front() = -0.05f;
  *problem->mutable_x(20, kSpikeChannel) = 1500.0f;
  return problem;
}

TEST_P(SimulationPerIsa, SimulatedRunEqualsInt8RunAroundASpike) {
  const std::unique_ptr<SsdProblem> problem = SpikeProblem();
  ExpectSimulationEqualsInt8(problem.get());
}

TEST_P(SimulationPerIsa, ScalesPerChunkFollowASpike) {
  const std::unique_ptr<SsdProblem> problem = SpikeProblem();
  // The spike's channel in the chunks after it, which know it from the state alone.
  const auto after = [&](const Kernel<SsdArgs>& kernel, const SsdArgs& args) {
    problem->Reset();
    RunSsd(kernel, args);
    std::vector<double> y;
    for (int64_t t = 32; t < args.T; ++t) {
      y.push_back(problem->y()[static_cast<size_t>(t * args.H * args.P + kSpikeChannel)]);
    }
    return y;
  };
  const std::vector<double> exact = after(*SsdKernel("ssd/ref"), problem->Float());
  const auto relative_error = [&](const Kernel<SsdArgs>& kernel, const SsdArgs& args) {
    const std::vector<double> y = after(kernel, args);
    double error = 0.0;
    double size = 0.0;
    for (size_t i = 0; i < exact.size(); ++i) {
      error += std::pow(y[i] - exact[i], 2);
      size += std::pow(exact[i], 2);
    }
    return std::sqrt(error / size);
  };
  for (const auto* kernel : testing::Accepting(problem->PerChunk())) {
    if ((MaskOf(kernel->isa) & AllowedIsas()) == 0) continue;
    EXPECT_GT(relative_error(*kernel, problem->PerChunk(0)), 0.5) << kernel->name;
    // Either static scale alone cuts the spike off.
    EXPECT_GT(relative_error(*kernel, problem->PerChunk(1)), 0.5) << kernel->name;
    EXPECT_GT(relative_error(*kernel, problem->PerChunk(4)), 0.5) << kernel->name;
    // Half a step in 127 for X_s and for the state, with room.
    EXPECT_LT(relative_error(*kernel, problem->PerChunk()), 0.02) << kernel->name;
  }
}

TEST_P(SimulationPerIsa, OneTokenEqualsInFloatAndInt8) {
  for (const char* state : {"f32", "f16", "i16+sr", "i8", "i8s+ef"}) {
    for (const int64_t N : {16, 21, 128}) {
      SsdShape shape;
      shape.H = 4;
      shape.G = 2;
      shape.N = N;
      shape.state = *ParseStateFormat(state);
      SsdProblem problem(shape);
      RunSsd(*SsdKernel("ssd_step/ref"), problem.Float());
      const SsdOutput expected = problem.Output();
      for (const SsdArgs& args : {problem.Float(), problem.Codes(StatePassing::kFloat),
                                  problem.Codes(StatePassing::kGateQ7), problem.PerChunk()}) {
        for (const auto* kernel : testing::Accepting(args)) {
          if ((MaskOf(kernel->isa) & AllowedIsas()) == 0) continue;
          problem.Reset();
          RunSsd(*kernel, args);
          EXPECT_TRUE(problem.Output() == expected) << kernel->name << " " << shape.Name();
        }
      }
    }
  }
}

// One channel and one state entry: h and y follow from integers by hand.
TEST(GateQ7, FollowsTheIntegerRecurrence) {
  const float x[] = {1.0f, 1.0f, -1.0f, -1.0f, 1.0f, 1.0f};
  const float dt[] = {0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f};
  const int8_t B[] = {127, 127, 127, 127, 127, 127};
  const int8_t C[] = {0, 0, 0, 0, 0, 0};
  const float A = -0.125f;
  const float D = 0.0f;
  const float one = 0x1.0p-7f;
  const float x_scale = 0x1.0p-8f;
  const float state_scale = 0x1.0p-9f;
  float h = 300.0f * state_scale;
  float y[6];
  const SsdScales scales = {&one, &one, &x_scale, &one, &state_scale};
  SsdArgs args = {};
  args.T = 6;
  args.H = args.P = args.N = args.G = 1;
  args.L = 2;
  args.head_end = 1;
  args.x = x;
  args.x_stride = args.bc_stride = 1;
  args.bc_dtype = DType::kI8;
  args.B = B;
  args.C = C;
  args.dt = dt;
  args.A = &A;
  args.D = &D;
  args.h.data = &h;
  args.y = y;
  args.scales = &scales;
  args.passing = StatePassing::kGateQ7;
  // exp(-0.125) * 128 = 112.96: gate 113. X_s of a chunk: sign * (0.5 exp(-1/16), 0.5), that is
  // sign * (120.25 -> 120, 128 -> 127) steps; S_loc = 247 * 127 / 2^15 = 0.957, which is 490 steps
  // of state_scale and saturates.
  // s = 300 -> (300 * 113 + 64 >> 7) + 127 = 392 -> 346 - 127 = 219 -> 193 + 127 = 320.
  const float initial = h;
  for (const auto* kernel : testing::Accepting(args)) {
    h = initial;
    RunSsd(*kernel, args);
    EXPECT_EQ(h, 320.0f * state_scale) << kernel->name;
  }
}

struct MaxTap {
  std::vector<float> x_scaled, score, state;
};

void Observe(void* context, SsdSite site, int64_t index, float* values, int64_t rows,
             int64_t cols) {
  MaxTap& most = *static_cast<MaxTap*>(context);
  for (int64_t i = 0; i < rows * cols; ++i) {
    float* at = nullptr;
    if (site == SsdSite::kXScaled)
      at = &most.x_scaled[static_cast<size_t>(index * cols + i % cols)];
    if (site == SsdSite::kScore) at = &most.score[static_cast<size_t>(index)];
    if (site == SsdSite::kState) at = &most.state[static_cast<size_t>(index * rows + i / cols)];
    if (at != nullptr) *at = std::fmax(*at, std::fabs(values[i]));
  }
}

float Largest(const std::vector<float>& v) {
  return *std::max_element(v.begin(), v.end());
}

// Scales of the observed maxima, so nothing saturates and every code errs by half a step at most:
// |dX_s| <= s_X / 2, hence |dS| <= len |B| s_X / 2 per chunk, at most `chunks` times that, and
//   |dy| <= N |C| (|dS| + s_S / 2) + len (s_CB / 2) max(dt |x|).
TEST(Int8, StaysWithinHalfSteps) {
  SsdShape shape;
  shape.T = 53;
  shape.H = 4;
  shape.G = 2;
  shape.L = 16;
  SsdProblem problem(shape);
  MaxTap most;
  most.x_scaled.resize(20);
  most.score.resize(2);
  most.state.resize(20);
  const SsdTap tap = {Observe, &most};
  SsdArgs args = problem.Float();
  args.tap = &tap;
  RunSsd(*SsdKernel("ssd_chunked/ref"), args);
  for (auto* maxima : {&most.score, &most.state}) {
    for (float& v : *maxima) {
      v = ScaleForAbsMax(v);
    }
  }
  problem.Reset();
  RunSsd(*SsdKernel("ssd/ref"), args);
  const std::vector<float> exact = problem.y();
  const double abs_bc = 127 * 0.01;  // |B|, |C| <= 127 steps of at most 0.01
  for (const Codec codec : kXScaledCodecs) {
    // Within the fitted range no step is larger than the scale, also in the soft edges.
    std::vector<float> x_scaled = most.x_scaled;
    for (float& v : x_scaled) {
      v = FitCodec(codec, {-v, v}).scale;
    }
    const SsdScales scales = {problem.scales().B, problem.scales().C, x_scaled.data(),
                              most.score.data(),  most.state.data(),  codec};
    args = problem.Codes(StatePassing::kFloat);
    args.scales = &scales;
    const double d_state = 4 * 16 * abs_bc * Largest(x_scaled) / 2;
    const double bound = 21 * abs_bc * (d_state + Largest(most.state) / 2) +
                         16 * Largest(most.score) / 2 * 0.1003 * 2;
    for (const auto* kernel : testing::Accepting(args)) {
      problem.Reset();
      RunSsd(*kernel, args);
      double error = 0.0;
      double size = 0.0;
      for (size_t i = 0; i < exact.size(); ++i) {
        ASSERT_LE(std::fabs(problem.y()[i] - exact[i]), bound) << kernel->name;
        error += std::pow(problem.y()[i] - exact[i], 2);
        size += std::pow(exact[i], 2);
      }
      // Independent roundings: the worst case is far away. A scale applied twice or left out is
      // not, nor units of the wrong size.
      EXPECT_LT(std::sqrt(error / size), 0.02) << kernel->name << " " << CodecName(codec);
      EXPECT_GT(error, 0.0) << kernel->name << " " << CodecName(codec);
    }
  }
}

}  // namespace
}  // namespace octet
