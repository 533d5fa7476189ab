// Contracts of reverse mode through S4D models (train/backprop.h):
//  1. In double, the gradient of every parameter equals the central difference of the loss within
//     1e-6: both discretizations and none, all forms of the real part, all norms, both GELUs, with
//     and without B, one layer and two, one token and more; with a teacher too.
//  2. In float, on every instruction set, loss and gradients lie within 1e-4 of double, and logits
//     within 1e-5 of the Interpreter's.
//  3. Gradients of sequences add up.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arch/s4d.h"
#include "base/rng.h"
#include "exec/interpreter.h"
#include "kernels/isa.h"
#include "train/backprop.h"

namespace octet {
namespace {

struct Form {
  const char* name;
  S4dConfig config;
  bool B = true;
};

S4dConfig Config(Discretization discretization, RealPart real_part, S4dNorm norm, GeluForm gelu,
                 int64_t layers) {
  S4dConfig c;
  c.d_input = 2;
  c.d_model = 3;
  c.d_output = 4;
  c.layers = layers;
  c.s4d.modes = 5;
  c.s4d.discretization = discretization;
  c.s4d.real_part = real_part;
  c.norm = norm;
  c.gelu = gelu;
  return c;
}

constexpr auto kZoh = Discretization::kZoh, kBilinear = Discretization::kBilinear;

const Form kForms[] = {
    {"exp", Config(kZoh, RealPart::kExp, S4dNorm::kNone, GeluForm::kExact, 1)},
    {"exp_ones", Config(kZoh, RealPart::kExp, S4dNorm::kPost, GeluForm::kExact, 2), false},
    {"relu", Config(kZoh, RealPart::kRelu, S4dNorm::kPre, GeluForm::kExact, 1)},
    {"softplus", Config(kBilinear, RealPart::kSoftplus, S4dNorm::kPre, GeluForm::kPiecewise, 2)},
    {"sigmoid", Config(kBilinear, RealPart::kSigmoid, S4dNorm::kPost, GeluForm::kExact, 1)},
    {"identity", Config(kBilinear, RealPart::kIdentity, S4dNorm::kNone, GeluForm::kPiecewise, 1),
     false},
    {"discrete",
     Config(Discretization::kNone, RealPart::kExp, S4dNorm::kNone, GeluForm::kExact, 2)},
};

// Random weights: modes from |a dt| = 2e-4 to 2, so that both forms of the derivative are used.
WeightMap Weights(const Form& form) {
  const S4dConfig& c = form.config;
  const int64_t H = c.d_model, N = c.s4d.modes;
  Rng rng(5);
  WeightMap weights;
  const auto set = [&](const std::string& name, std::vector<int64_t> shape, float lo, float hi) {
    int64_t count = 1;
    for (const int64_t s : shape) {
      count *= s;
    }
    std::vector<float> v(static_cast<size_t>(count));
    for (float& e : v) {
      e = rng.Uniform(lo, hi);
    }
    weights.Set(name, MakeWeight(std::move(v), std::move(shape)));
  };
  set("encoder.weight", {H, c.d_input}, -1, 1);
  set("encoder.bias", {H}, -1, 1);
  for (int64_t i = 0; i < c.layers; ++i) {
    const std::string layer = fmt::format("s4_layers.{}.", i), kernel = layer + "kernel.";
    set(layer + "D", {H}, -1, 1);
    set(kernel + "C", {H, N, 2}, -1, 1);
    set(layer + "output_linear.0.weight", {2 * H, H}, -1, 1);
    set(layer + "output_linear.0.bias", {2 * H}, -1, 1);
    set(fmt::format("norms.{}.weight", i), {H}, 0.5, 1.5);
    set(fmt::format("norms.{}.bias", i), {H}, -0.5, 0.5);
    if (form.B) set(kernel + "B", {H, N, 2}, -1, 1);
    if (c.s4d.discretization == Discretization::kNone) {
      set(kernel + "A", {H, N, 2}, -0.7f, 0.7f);
      continue;
    }
    set(kernel + "log_dt", {H}, -7, -1);
    const bool positive = c.s4d.real_part == RealPart::kIdentity;
    set(kernel + "log_A_real", {H, N}, positive ? 0.2f : -1.0f, 1);
    set(kernel + "A_imag", {H, N}, -0.1f, 10);
  }
  set("decoder.weight", {c.d_output, H}, -1, 1);
  set("decoder.bias", {c.d_output}, -1, 1);
  return weights;
}

template <class To, class From>
std::vector<To> As(const std::vector<From>& v) {
  return {v.begin(), v.end()};
}

std::vector<float> Frames(int64_t T, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> v(static_cast<size_t>(2 * T));
  for (float& e : v) {
    e = rng.Uniform(-1.5, 1.5);
  }
  return v;
}

struct LossAndGradient {
  double loss = 0;
  std::vector<double> gradient;
  std::vector<float> logits;
};

class S4dGradient : public testing::TestWithParam<Form> {
 protected:
  void SetUp() override {
    weights_ = Weights(GetParam());
    graph_ = S4dGraph(GetParam().config, weights_);
    ASSERT_TRUE(Verify(graph_).ok()) << Verify(graph_).message();
    Result<ParameterLayout> layout = ParameterLayout::Of(graph_, weights_);
    ASSERT_TRUE(layout.ok()) << layout.status().message();
    layout_ = *layout;
    parameters_ = layout_.Gather(weights_);
  }
  void TearDown() override { EXPECT_TRUE(ForceIsa("native").ok()); }

  template <class Real>
  LossAndGradient Run(const std::vector<Real>& parameters, const std::vector<float>& frames,
                      const Target& target, int times = 1) const {
    Result<Backprop<Real>> b = Backprop<Real>::Create(graph_, layout_);
    EXPECT_TRUE(b.ok() && b->SetParameters(parameters).ok());
    typename Backprop<Real>::Workspace ws;
    std::vector<Real> sum(static_cast<size_t>(b->sum_size()));
    LossAndGradient out;
    for (int i = 0; i < times; ++i) {
      b->Forward(As<Real>(frames), &ws);
      out.loss += b->Backward(target, &ws, sum);
    }
    out.logits = As<float>(ws.logits);
    out.gradient = b->Chain(sum);
    return out;
  }

  Graph graph_;
  WeightMap weights_;
  ParameterLayout layout_;
  std::vector<float> parameters_;
};

TEST_P(S4dGradient, IsTheCentralDifference) {
  const std::vector<float> teacher = {0.5f, -1, 2, 0.25f};
  const Target targets[] = {{.label = 2}, {2, teacher, 0.75, 3}};
  for (const int64_t T : {1, 23}) {
    const Target& target = targets[T == 1 ? 0 : 1];
    const std::vector<float> frames = Frames(T, 3);
    std::vector<double> p = As<double>(parameters_);
    const std::vector<double> gradient = Run(p, frames, target).gradient;
    ASSERT_EQ(gradient.size(), p.size());
    for (const Parameter& tensor : layout_.all()) {
      double scale = 1e-3, worst = 0;
      for (int64_t i = tensor.begin; i < tensor.begin + tensor.count; ++i) {
        const auto at = static_cast<size_t>(i);
        const double value = p[at], h = 1e-5;
        const auto loss = [&](double v) {
          p[at] = v;
          return Run(p, frames, target).loss;
        };
        // Of fourth order, so that rounding is what is left.
        const double slope = (8 * (loss(value + h) - loss(value - h)) -
                              (loss(value + 2 * h) - loss(value - 2 * h))) /
                             (12 * h);
        p[at] = value;
        scale = std::max(scale, std::fabs(slope));
        worst = std::max(worst, std::fabs(gradient[at] - slope));
      }
      EXPECT_LT(worst, 1e-6 * scale) << tensor.name << " T=" << T;
    }
  }
}

TEST_P(S4dGradient, FloatIsCloseToDoubleAndToTheInterpreter) {
  const std::vector<float> frames = Frames(300, 4);
  const LossAndGradient exact = Run(As<double>(parameters_), frames, {.label = 1});
  for (const std::string& isa : AvailableIsas()) {
    ASSERT_TRUE(ForceIsa(isa).ok());
    const LossAndGradient got = Run(parameters_, frames, {.label = 1});
    EXPECT_NEAR(got.loss, exact.loss, 1e-4 * exact.loss) << isa;
    for (const Parameter& tensor : layout_.all()) {
      double scale = 1e-3, worst = 0;
      for (int64_t i = tensor.begin; i < tensor.begin + tensor.count; ++i) {
        const auto at = static_cast<size_t>(i);
        scale = std::max(scale, std::fabs(exact.gradient[at]));
        worst = std::max(worst, std::fabs(exact.gradient[at] - got.gradient[at]));
      }
      EXPECT_LT(worst, 1e-4 * scale) << tensor.name << " " << isa;
    }
    State state(graph_);
    std::vector<float> logits;
    const Interpreter interpreter(graph_, weights_, AllowedIsas());
    ASSERT_TRUE(interpreter.RunFrames(frames, &state, nullptr, &logits).ok());
    double scale = 0;
    for (const float l : got.logits) {
      scale = std::max(scale, std::fabs(static_cast<double>(l)));
    }
    const size_t last = logits.size() - got.logits.size();
    for (size_t c = 0; c < got.logits.size(); ++c) {
      EXPECT_NEAR(got.logits[c], logits[last + c], 1e-5 * scale) << isa;
    }
  }
}

// The loss of a teacher, as Hinton et al. write it.
TEST_P(S4dGradient, LossOfATeacher) {
  const std::vector<float> teacher = {0.5f, -1, 2, 0.25f};
  const std::vector<double> p = As<double>(parameters_);
  const std::vector<float> frames = Frames(9, 6);
  const double hard = Run(p, frames, {.label = 1}).loss;
  const LossAndGradient got = Run(p, frames, {1, teacher, 0.75, 3});
  const auto softmax = [](const std::vector<float>& logits) {
    std::vector<double> q;
    double sum = 0;
    for (const float l : logits) {
      q.push_back(std::exp(static_cast<double>(l) / 3));
      sum += q.back();
    }
    for (double& v : q) {
      v /= sum;
    }
    return q;
  };
  const std::vector<double> of_teacher = softmax(teacher), of_student = softmax(got.logits);
  double kl = 0;
  for (size_t c = 0; c < 4; ++c) {
    kl += of_teacher[c] * std::log(of_teacher[c] / of_student[c]);
  }
  EXPECT_NEAR(got.loss, 0.25 * hard + 0.75 * 9 * kl, 1e-5);
}

TEST_P(S4dGradient, Adds) {
  const std::vector<double> p = As<double>(parameters_);
  const std::vector<float> frames = Frames(9, 6);
  const LossAndGradient once = Run(p, frames, {}), thrice = Run(p, frames, {}, 3);
  for (size_t i = 0; i < p.size(); ++i) {
    EXPECT_NEAR(thrice.gradient[i], 3 * once.gradient[i],
                1e-12 + 1e-12 * std::fabs(once.gradient[i]));
  }
}

INSTANTIATE_TEST_SUITE_P(All, S4dGradient, testing::ValuesIn(kForms),
                         [](const auto& p) { return p.param.name; });

}  // namespace
}  // namespace octet
