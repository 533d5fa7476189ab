// Contracts:
//  1. A plan without bits gives the logits of the float model, on the way of its own recurrence.
//  2. The state of one head is the recurrence of simulate.h, written down again in double on
//     values that are exact: for nearest, published, stochastic and feedback rounding.
//  3. Static ranges are those of the float model over the sequences, whatever the threads; a plan
//     that needs a site which was not seen is refused.
//  4. Fewer bits of any activation are further from float; dynamic ranges need no calibration.
#include "quant/s4d/simulate.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "exec/interpreter.h"
#include "graph/s4d_block_testing.h"
#include "kernels/ssd_state.h"
#include "quant/s4d/sensitivity.h"

namespace octet {
namespace {

using Complex = std::complex<double>;

std::vector<float> Frames(int64_t T, int64_t width, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> frames(static_cast<size_t>(T * width));
  for (float& v : frames) {
    v = rng.Uniform(-1, 1);
  }
  return frames;
}

class SimulateTest : public testing::Test {
 protected:
  S4dRanges Observe(int threads = 1) const {
    ThreadPool pool(threads);
    const auto sequence = [](int64_t i) { return Frames(50, 2, static_cast<uint64_t>(i)); };
    Result<S4dRanges> ranges = ObserveS4d(graph_, weights_, 9, sequence, &pool);
    EXPECT_TRUE(ranges.ok()) << ranges.status().message();
    return *ranges;
  }
  std::vector<float> Run(const S4dPlan& plan, const S4dRanges& ranges) const {
    Result<S4dSimulation> s = S4dSimulation::Create(graph_, weights_, plan, ranges);
    EXPECT_TRUE(s.ok()) << s.status().message();
    return *s->Run(Frames(50, 2, 3));
  }
  double Distance(const S4dPlan& plan) const {
    const std::vector<float> got = Run(plan, Observe()), want = Run({}, {});
    double worst = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      worst = std::max(worst, std::fabs(static_cast<double>(got[i]) - want[i]));
    }
    return worst;
  }

  Graph graph_ = MakeS4dBlocks({});
  WeightMap weights_ = MakeS4dBlockWeights({}, 4);
};

TEST_F(SimulateTest, WithoutBitsIsTheFloatModel) {
  std::vector<float> logits;
  State state(graph_);
  const Interpreter interpreter(graph_, weights_, kReferenceOnly);
  ASSERT_TRUE(interpreter.RunFrames(Frames(50, 2, 3), &state, nullptr, &logits).ok());
  const std::vector<float> got = Run({}, {});
  ASSERT_EQ(got.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(got[i], logits[logits.size() - 4 + i], 1e-5);
  }
}

TEST_F(SimulateTest, RangesAreThoseOfTheFloatModel) {
  const S4dRanges ranges = Observe();
  EXPECT_EQ(ranges, Observe(3));
  struct MinMax : Tap {
    void At(std::string_view site, int64_t, float* values, int64_t rows, int64_t cols) override {
      std::vector<SeenRange>& s = seen[std::string(site)];
      s.resize(static_cast<size_t>(cols));
      for (int64_t i = site == "mean" ? (rows - 1) * cols : 0; i < rows * cols; ++i) {
        s[static_cast<size_t>(i % cols)].Include(values[i]);
      }
    }
    S4dRanges seen;
  } tap;
  const Interpreter interpreter(graph_, weights_, kReferenceOnly);
  for (int64_t i = 0; i < 9; ++i) {
    State state(graph_);
    std::vector<float> logits;
    ASSERT_TRUE(
        interpreter.RunFrames(Frames(50, 2, static_cast<uint64_t>(i)), &state, &tap, &logits).ok());
  }
  const auto near = [&](const char* site, const char* node) {
    const std::vector<SeenRange>&got = ranges.find(site)->second, &want = tap.seen[node];
    ASSERT_EQ(got.size(), want.size()) << site;
    for (size_t c = 0; c < got.size(); ++c) {
      EXPECT_NEAR(got[c].low, want[c].low, 1e-4) << site;
      EXPECT_NEAR(got[c].high, want[c].high, 1e-4) << site;
    }
  };
  near("frames", "frames");
  near("mean", "mean");
  near("layers.1.gelu", "layers.1.gelu");
  near("layers.0.u", "encoder");
  near("layers.1.u", "layers.0.norm");
  near("layers.0.y", "layers.0.y");
  EXPECT_EQ(ranges.find("layers.1.x")->second.size(), 30u);
}

TEST_F(SimulateTest, FewerBitsAreFurtherFromFloat) {
  for (const S4dVariant& v : S4dVariants()) {
    const double fine = Distance(v.plan(16)), coarse = Distance(v.plan(3));
    EXPECT_LT(fine, 0.05) << v.name;
    EXPECT_GT(coarse, fine) << v.name;
  }
}

TEST_F(SimulateTest, StaticCodesNeedTheirSites) {
  S4dPlan plan;
  plan.activations.bits = 8;
  const auto error = [&] {
    return S4dSimulation::Create(graph_, weights_, plan, {}).status().message();
  };
  EXPECT_THAT(error(), testing::HasSubstr("frames"));
  plan.activations.dynamic = true;
  EXPECT_EQ(error(), "");
  plan.x.code.bits = 8;
  EXPECT_THAT(error(), testing::HasSubstr("layers.0.x"));
}

// A model of one head that lets y through: its logit is the mean over t of u_t + gelu(y_t).
class HeadTest : public testing::Test {
 protected:
  static constexpr int64_t kT = 40;

  // gelu(y_t) of every frame: what the logit of t frames has more than that of t - 1.
  std::vector<float> Simulated(const S4dStatePlan& x, const S4dRanges& ranges) {
    S4dPlan plan;
    plan.x = x;
    Result<S4dSimulation> s = S4dSimulation::Create(graph_, weights_, plan, ranges);
    EXPECT_TRUE(s.ok()) << s.status().message();
    std::vector<float> sums;
    for (int64_t t = 1; t <= kT; ++t) {
      const std::vector<float> logits = *s->Run(std::span(frames_).first(static_cast<size_t>(t)));
      sums.push_back(logits[0] * static_cast<float>(t));
    }
    std::vector<float> contributions;
    for (size_t t = 0; t < sums.size(); ++t) {
      contributions.push_back(sums[t] - (t == 0 ? 0 : sums[t - 1]) - frames_[t]);
    }
    return contributions;
  }

  void SetUp() override {
    const auto set = [&](const char* name, std::vector<float> values, std::vector<int64_t> shape) {
      weights_.Set(name, MakeWeight(std::move(values), std::move(shape)));
    };
    set("encoder.weight", {1}, {1, 1});
    set("encoder.bias", {0}, {1});
    set("decoder.weight", {1}, {1, 1});
    set("decoder.bias", {0}, {1});
    set("A", {0.96875f, 0.125f, 0.75f, -0.5f}, {1, 2, 2});
    set("B", {0.25f, 0.0625f, -0.5f, 0.125f}, {1, 2, 2});
    set("C", {1.5f, -0.75f, 0.5f, 0.25f}, {1, 2, 2});
    set("s4_layers.0.D", {0.5f}, {1});
    set("s4_layers.0.output_linear.0.weight", {2, 0}, {2, 1});
    set("s4_layers.0.output_linear.0.bias", {0, 0}, {2});
    graph_ = MakeS4dBlocks({1, 1, 1, 1, 2, false, false, false});
    Node& y = graph_.nodes[static_cast<size_t>(graph_.FindSite("layers.0.y"))];
    y.s4d.discretization = Discretization::kNone;
    y.weights = {"", "A", "", "B", "C", "s4_layers.0.D"};
    ASSERT_TRUE(Verify(graph_).ok()) << Verify(graph_).message();
    frames_ = Frames(kT, 1, 8);
    for (float& v : frames_) {
      v = std::nearbyint(v * 64) / 64;
    }
  }

  Graph graph_;
  WeightMap weights_;
  std::vector<float> frames_;
};

enum class Form : uint8_t {
  kNearest,
  kPublished,
  kSharedNoise,
  kOwnNoise,
  kFeedback,
  kPublishedAsymmetric,  // per head, parts cut off at +-0.4
  kDynamic,
};

S4dStatePlan PlanOf(Form form) {
  S4dStatePlan x;
  x.code = {6, S4dGrain::kMode, true};
  x.seed = 7;
  switch (form) {
    case Form::kNearest:
      break;
    case Form::kPublished:
      x.published = true;
      break;
    case Form::kSharedNoise:
    case Form::kOwnNoise:
      x.rounding = StateRounding::kStochastic;
      x.shared_noise = form == Form::kSharedNoise;
      break;
    case Form::kFeedback:
      x.rounding = StateRounding::kFeedback;
      break;
    case Form::kPublishedAsymmetric:
      x.code = {6, S4dGrain::kHead, false};
      x.published = true;
      x.limit = 0.4f;
      break;
    case Form::kDynamic:
      x.code.grain = S4dGrain::kHead;
      x.dynamic = true;
      break;
  }
  return x;
}

// One state vector under a form, in double; scales of the modes are 1/32 and 1/64.
void Round(Form form, int64_t t, Complex* modes) {
  const RowNoise noise(NoiseKey(7, 0), t, 0);
  double peak = 0;
  for (int n = 0; n < 2; ++n) {
    peak = std::max({peak, std::fabs(modes[n].real()), std::fabs(modes[n].imag())});
  }
  for (int n = 0; n < 2; ++n) {
    const auto one = [&](double v, int part) {
      const double scale = form == Form::kDynamic ? peak / 31 : n == 0 ? 1.0 / 32 : 1.0 / 64;
      if (form == Form::kPublishedAsymmetric) {
        const double places = 32 * v - 16;  // 1/32 is the step of [-0.5, 47/32], -16 the zero
        return (std::clamp(std::nearbyint(places), -32.0, 31.0) + 16) / 32;
      }
      if (scale == 0) return v;
      const double q = std::clamp(v / scale, -31.0, 31.0);
      const uint64_t bits = form == Form::kSharedNoise
                                ? noise.bits + static_cast<uint64_t>(n) * 0x9e3779b9u
                                : NoiseAt(noise, n);
      const double r = static_cast<double>(bits >> (15 * part) & 0x7fff) / 32768;
      if (form == Form::kFeedback) {
        return std::nearbyint(std::clamp(16 * v / scale, -504.0, 503.0)) * scale / 16;
      }
      if (form == Form::kSharedNoise || form == Form::kOwnNoise) {
        return std::min(std::floor(q + r), 31.0) * scale;
      }
      return std::nearbyint(q) * scale;
    };
    modes[n] = {one(modes[n].real(), 0), one(modes[n].imag(), 1)};
  }
}

// gelu(y_t) of the recurrence that simulate.h states.
std::vector<double> Expected(Form form, const std::vector<float>& frames) {
  const Complex A[] = {{0.96875, 0.125}, {0.75, -0.5}}, B[] = {{0.25, 0.0625}, {-0.5, 0.125}},
                C[] = {{1.5, -0.75}, {0.5, 0.25}};
  const bool published = form == Form::kPublished || form == Form::kPublishedAsymmetric;
  Complex state[2] = {};
  std::vector<double> result;
  for (size_t t = 0; t < frames.size(); ++t) {
    const double u = frames[t];
    Complex decayed[2], added[2];
    for (int n = 0; n < 2; ++n) {
      decayed[n] = A[n] * state[n];
      added[n] = B[n] * u;
    }
    const auto step = static_cast<int64_t>(t);
    if (published) {
      Round(form, step, decayed);
      Round(form, step, added);
    }
    double before = 0.5 * u, after = 0.5 * u;
    for (int n = 0; n < 2; ++n) {
      state[n] = decayed[n] + added[n];
      before += (2.0 * C[n] * state[n]).real();
    }
    Round(form, step, state);
    for (int n = 0; n < 2; ++n) {
      if (form == Form::kPublishedAsymmetric) {
        state[n] = {std::clamp(state[n].real(), -0.4, 0.4), std::clamp(state[n].imag(), -0.4, 0.4)};
      }
      after += (2.0 * C[n] * state[n]).real();
    }
    const double y = published ? before : after;
    result.push_back(0.5 * y * (1 + std::erf(y / std::sqrt(2.0))));
  }
  return result;
}

TEST_F(HeadTest, IsTheRecurrenceInEveryRounding) {
  for (const Form form : {Form::kNearest, Form::kPublished, Form::kSharedNoise, Form::kOwnNoise,
                          Form::kFeedback, Form::kPublishedAsymmetric, Form::kDynamic}) {
    S4dRanges ranges;
    ranges["layers.0.x"].resize(2);
    const bool asymmetric = form == Form::kPublishedAsymmetric;
    const float peaks[] = {31.0f / 32, 31.0f / 64};
    for (size_t n = 0; n < 2; ++n) {
      ranges["layers.0.x"][n].Include(asymmetric ? -0.5f : -peaks[n]);
      ranges["layers.0.x"][n].Include(asymmetric ? 47.0f / 32 : peaks[n]);
    }
    const std::vector<float> got = Simulated(PlanOf(form), ranges);
    const std::vector<double> want = Expected(form, frames_);
    for (size_t t = 0; t < want.size(); ++t) {
      // Differences of sums over frames lose some digits.
      EXPECT_NEAR(got[t], want[t], 2e-4) << static_cast<int>(form) << " " << t;
    }
  }
}

}  // namespace
}  // namespace octet
