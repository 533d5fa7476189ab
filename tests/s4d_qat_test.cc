// Contracts of quantization-aware training (train/fake_quant.h, train/training.h):
//  1. The forward pass is that of S4dSimulation, for every recipe: the same codes, so logits that
//     differ by the order of sums only.
//  2. With codes so fine that they change nothing, the gradient is that of the float model.
//  3. What the codes of an activation do not hold gets no gradient.
//  4. Training with codes recovers what they cost; frozen tensors keep their bits; threads and
//     interruptions change none.
//  5. Codes that cannot be trained with are refused.
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arch/s4d.h"
#include "kernels/isa.h"
#include "quant/s4d/recipes.h"
#include "quant/s4d/simulate.h"
#include "quant/s4d/weights.h"
#include "tests/bright_rows.h"
#include "train/backprop.h"
#include "train/s4d_init.h"
#include "train/training.h"

namespace octet {
namespace {

using testing::HasSubstr;

class Qat : public testing::Test {
 protected:
  void SetUp() override {
    S4dConfig config;
    config.d_input = 1;
    config.d_model = 6;
    config.d_output = 4;
    config.layers = 1;
    config.s4d.modes = 8;
    config.norm = S4dNorm::kNone;
    weights_ = InitS4d({1, 6, 1, 8, 4, false}, 3);
    graph_ = S4dGraph(config, weights_);
    layout_ = *ParameterLayout::Of(graph_, weights_);
    options_ = {.epochs = 4, .batch = 30, .lr = 0.01, .seed = 7, .threads = 2, .save_seconds = 0};
  }
  void TearDown() override { EXPECT_TRUE(ForceIsa("native").ok()); }

  // The float model after some epochs.
  void TrainFloat() {
    TrainingState state = StartTraining(layout_.Gather(weights_));
    TrainingOptions options = options_;
    options.epochs = 25;
    ASSERT_TRUE(Train(graph_, layout_, Data(), options, {}, &state).ok());
    ASSERT_GT(state.epochs.back().accuracy, 0.9);
    weights_ = layout_.Scatter(state.best);
  }
  TrainingData Data() const { return {images_, scale_, 100, {}}; }
  std::vector<float> FramesAt(int64_t i) const { return FramesOf(images_, i, scale_); }
  S4dQuantization Calibrated(const S4dPlan& plan) const {
    ThreadPool pool(1);
    return {plan, *ObserveS4d(
                      graph_, weights_, 50, [&](int64_t i) { return FramesAt(i); }, &pool)};
  }

  // The class is which row is bright.
  LabeledImages images_ = BrightRows(400, [](uint64_t row) { return row; });
  PixelScale scale_{{0.2f}, {0.3f}};
  Graph graph_;
  WeightMap weights_;
  ParameterLayout layout_;
  TrainingOptions options_;
};

TEST_F(Qat, ForwardIsTheSimulation) {
  TrainFloat();
  ASSERT_TRUE(ForceIsa("ref").ok());  // one order of sums
  for (const S4dRecipe& recipe : S4dRecipes()) {
    const S4dQuantization q = Calibrated(recipe.plan());
    Result<Backprop<float>> b = Backprop<float>::Create(graph_, layout_, &q);
    ASSERT_TRUE(b.ok()) << b.status().message();
    ASSERT_TRUE(b->SetParameters(layout_.Gather(weights_)).ok());
    const Result<S4dSimulation> s = S4dSimulation::Create(graph_, weights_, q.plan, q.ranges);
    ASSERT_TRUE(s.ok());
    Backprop<float>::Workspace ws;
    for (int64_t i = 0; i < 20; ++i) {
      b->Forward(FramesAt(i), &ws);
      const std::vector<float> want = *s->Run(FramesAt(i));
      for (size_t c = 0; c < want.size(); ++c) {
        ASSERT_NEAR(ws.logits[c], want[c], 1e-5) << recipe.name << " " << i;
      }
    }
  }
}

std::vector<double> Gradient(const Graph& graph, const ParameterLayout& layout,
                             const std::vector<float>& parameters,
                             const S4dQuantization* quantization,
                             const std::vector<float>& frames) {
  Result<Backprop<double>> b = Backprop<double>::Create(graph, layout, quantization);
  EXPECT_TRUE(b.ok()) << b.status().message();
  EXPECT_TRUE(b->SetParameters(std::vector<double>(parameters.begin(), parameters.end())).ok());
  Backprop<double>::Workspace ws;
  std::vector<double> sum(static_cast<size_t>(b->sum_size()));
  b->Forward(std::vector<double>(frames.begin(), frames.end()), &ws);
  b->Backward({.label = 2}, &ws, sum);
  return b->Chain(sum);
}

TEST_F(Qat, FineCodesGiveTheFloatGradient) {
  for (const bool published : {false, true}) {
    S4dPlan plan = *LoadS4dRecipe(published ? "paper-w8a8" : "w8a8-x16");
    plan.A = {PoleCodec::kLogPolar, 16, 16};
    plan.B.bits = plan.C.bits = plan.D.bits = plan.linears.bits = plan.activations.bits = 16;
    plan.x.code.bits = 16;
    plan.piecewise_gelu = false;
    const S4dQuantization q = Calibrated(plan);
    const std::vector<float> p = layout_.Gather(weights_);
    const std::vector<double> got = Gradient(graph_, layout_, p, &q, FramesAt(3)),
                              want = Gradient(graph_, layout_, p, nullptr, FramesAt(3));
    for (const Parameter& tensor : layout_.all()) {
      double scale = 1e-6, worst = 0;
      for (int64_t i = tensor.begin; i < tensor.begin + tensor.count; ++i) {
        const auto at = static_cast<size_t>(i);
        scale = std::max(scale, std::fabs(want[at]));
        worst = std::max(worst, std::fabs(want[at] - got[at]));
      }
      EXPECT_LT(worst, 0.01 * scale) << tensor.name << " " << published;
    }
  }
}

TEST_F(Qat, WhatCodesDoNotHoldGetsNoGradient) {
  const std::vector<float> p = layout_.Gather(weights_);
  const auto squared = [&](const std::vector<double>& gradient, const char* name) {
    const int64_t begin = layout_.Begin(name);
    double sum = 0;
    for (int64_t i = begin; i < begin + layout_.At(begin).count; ++i) {
      sum += gradient[static_cast<size_t>(i)] * gradient[static_cast<size_t>(i)];
    }
    return sum;
  };
  struct Case {
    const char* site;
    const char* before;  // a tensor whose values all pass the site
    const char* after;
  };
  const Case cases[] = {{"layers.0.y", "s4_layers.0.D", "s4_layers.0.output_linear.0.weight"},
                        {"layers.0.y_ssm", "s4_layers.0.kernel.C", "decoder.weight"},
                        {"layers.0.gelu", "s4_layers.0.kernel.C", "decoder.weight"},
                        {"mean", "encoder.weight", "decoder.weight"}};
  for (const Case& c : cases) {
    S4dQuantization q = Calibrated(*LoadS4dRecipe("w8a8-x16"));
    const std::vector<double> with = Gradient(graph_, layout_, p, &q, FramesAt(3));
    for (SeenRange& range : q.ranges[c.site]) {  // so far away that every value is cut off
      range = {50, 51};
    }
    const std::vector<double> without = Gradient(graph_, layout_, p, &q, FramesAt(3));
    EXPECT_GT(squared(with, c.before), 0) << c.site;
    EXPECT_EQ(squared(without, c.before), 0) << c.site;
    EXPECT_GT(squared(without, c.after), 0) << c.site;
  }
}

// What the codes of u do not hold reaches the encoder by the residual path only, whose gradient is
// that of the mean: the decoder's, which is in 8 bits.
TEST_F(Qat, WhatCodesOfUDoNotHoldPassesBesideTheLayer) {
  const std::vector<float> p = layout_.Gather(weights_);
  S4dQuantization q = Calibrated(*LoadS4dRecipe("w8a8-x16"));
  for (const bool held : {true, false}) {
    if (!held) std::ranges::fill(q.ranges["layers.0.u"], SeenRange{50, 51});
    const std::vector<double> gradient = Gradient(graph_, layout_, p, &q, FramesAt(3));
    double worst = 0, scale = 0;
    for (int64_t h = 0; h < 6; ++h) {
      double want = 0;
      for (int64_t c = 0; c < 4; ++c) {
        const auto weight = static_cast<size_t>(layout_.Begin("decoder.weight") + c * 6 + h);
        want += gradient[static_cast<size_t>(layout_.Begin("decoder.bias") + c)] * p[weight];
      }
      const double got = gradient[static_cast<size_t>(layout_.Begin("encoder.bias") + h)];
      scale = std::max(scale, std::fabs(want));
      worst = std::max(worst, std::fabs(got - want));
    }
    EXPECT_EQ(worst < 0.02 * scale, !held) << worst << " of " << scale;
  }
}

TEST_F(Qat, RecoversWhatCodesCost) {
  TrainFloat();
  S4dPlan plan = *LoadS4dRecipe("paper-w4a6");
  plan.linears.bits = plan.B.bits = plan.C.bits = 3;
  const S4dQuantization q = Calibrated(plan);
  S4dWeights discrete = *QuantizeS4dWeights(graph_, weights_, {});
  graph_ = discrete.graph;
  weights_ = discrete.weights;
  layout_ = *ParameterLayout::Of(graph_, weights_);
  options_.quantization = &q;
  const std::string A = "s4_layers.0.kernel.A";
  options_.frozen = {A};
  TrainingState before = StartTraining(layout_.Gather(weights_));
  options_.lr = 1e-12;
  options_.epochs = 1;
  ASSERT_TRUE(Train(graph_, layout_, Data(), options_, {}, &before).ok());
  options_.lr = 0.01;
  options_.epochs = 8;
  TrainingState after = StartTraining(layout_.Gather(weights_));
  ASSERT_TRUE(Train(graph_, layout_, Data(), options_, {}, &after).ok());
  EXPECT_LT(after.epochs.back().loss, 0.5 * before.epochs.back().loss);
  const auto frozen = [&](const TrainingState& s) {
    const auto begin = s.parameters.begin() + layout_.Begin(A);
    return std::vector<float>(begin, begin + layout_.At(layout_.Begin(A)).count);
  };
  EXPECT_EQ(frozen(after), frozen(StartTraining(layout_.Gather(weights_))));
  options_.threads = 5;
  TrainingState again = StartTraining(layout_.Gather(weights_));
  TrainingCallbacks callbacks;
  callbacks.save = [](const TrainingState& s) -> Status {
    return s.epochs.size() == 3 && s.step == 2 ? Internal("stopped") : Status();
  };
  ASSERT_FALSE(Train(graph_, layout_, Data(), options_, callbacks, &again).ok());
  ASSERT_TRUE(Train(graph_, layout_, Data(), options_, {}, &again).ok());
  EXPECT_TRUE(again == after);
}

TEST_F(Qat, LearnsFromATeacher) {
  TrainFloat();
  const S4dQuantization q = Calibrated(*LoadS4dRecipe("w4a6"));
  options_.quantization = &q;
  options_.teacher_share = 1;
  options_.temperature = 2;
  TrainingData data = Data();
  const Result<std::vector<float>> teacher =
      TeacherLogits(graph_, layout_, layout_.Gather(weights_), data, 2, {});
  ASSERT_TRUE(teacher.ok());
  ASSERT_EQ(teacher->size(), 1600u);
  data.teacher = *teacher;
  TrainingState state = StartTraining(layout_.Gather(weights_));
  options_.epochs = 8;
  ASSERT_TRUE(Train(graph_, layout_, data, options_, {}, &state).ok());
  EXPECT_LT(state.epochs.back().loss, 0.7 * state.epochs.front().loss);
}

TEST_F(Qat, RefusesWhatCannotBeTrainedWith) {
  const auto error = [&](const S4dPlan& plan) {
    const S4dQuantization q{plan, Calibrated({}).ranges};
    return std::string(Backprop<float>::Create(graph_, layout_, &q).status().message());
  };
  S4dPlan plan = *LoadS4dRecipe("w8a8");
  plan.x.shared_noise = false;
  EXPECT_THAT(error(plan), HasSubstr("noise that modes do not share"));
  plan.x.rounding = StateRounding::kFeedback;
  EXPECT_THAT(error(plan), HasSubstr("error feedback"));
  plan = *LoadS4dRecipe("paper-w8a8");
  plan.activations.dynamic = true;
  EXPECT_THAT(error(plan), HasSubstr("made at run time"));
  plan.activations.dynamic = false;
  plan.widths["layers.3.x"] = 8;
  EXPECT_THAT(error(plan), HasSubstr("no tensor layers.3.x"));
  TrainingState state = StartTraining(layout_.Gather(weights_));
  options_.frozen = {"nothing"};
  EXPECT_THAT(std::string(Train(graph_, layout_, Data(), options_, {}, &state).message()),
              HasSubstr("nothing: the model has no such tensor"));
}

}  // namespace
}  // namespace octet
