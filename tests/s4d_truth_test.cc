// Contracts: the float S4D model is the formula of the paper, evaluated in double in torch.
//  1. Logits equal the goldens within 1e-4 of the largest, for every form of the model, at lengths
//  on
//     both sides of the pieces that a Program runs; and so does the output of the first S4D layer.
//  2. Recurrence and convolution agree within 1e-4.
//  3. The number of threads changes no bit, nor does splitting a sequence between calls, anywhere:
//     but for oneDNN, whose matrix products depend on the number of rows. A copy of the state
//     continues with the bits of never having stopped.
//  4. Interpreter and Program agree bit for bit.
//  5. The trained checkpoints give the logits of torch on real images.
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "eval/classify.h"
#include "exec/interpreter.h"
#include "io/cifar.h"
#include "io/mnist.h"
#include "io/safetensors.h"
#include "kernels/isa.h"
#include "runtime/session.h"

namespace octet {
namespace {

using Values = std::vector<float>;

constexpr int64_t kLengths[] = {1, 2, 37, 256, 300};

std::shared_ptr<const Model> Load(const std::string& path) {
  Result<std::shared_ptr<const Model>> model = Model::Load(path, {});
  EXPECT_TRUE(model.ok()) << model.status().message();
  return model.ok() ? *model : nullptr;
}

Session MakeSession(const std::shared_ptr<const Model>& model, int threads = 1) {
  return Session(model, std::make_shared<ThreadPool>(threads));
}

// Logits after every frame [T, classes].
Values FeedAll(Session* session, std::span<const float> frames) {
  Values all;
  const Status s = session->FeedAllFrames(frames, [&](int64_t, int64_t rows, const float* logits) {
    all.insert(all.end(), logits, logits + rows * session->model().vocab_rows());
  });
  EXPECT_TRUE(s.ok()) << s.message();
  return all;
}

double RelativeError(std::span<const float> got, std::span<const float> want) {
  EXPECT_EQ(got.size(), want.size());
  double worst = 0, scale = 0;
  for (size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    worst = std::max(worst, std::fabs(static_cast<double>(got[i]) - want[i]));
    scale = std::max(scale, std::fabs(static_cast<double>(want[i])));
  }
  return worst / scale;
}

// Keeps the values of one site.
class Keep : public Tap {
 public:
  explicit Keep(std::string site) : site_(std::move(site)) {}
  void At(std::string_view site, int64_t, float* values, int64_t rows, int64_t cols) override {
    if (site == site_) kept.assign(values, values + rows * cols);
  }
  Values kept;

 private:
  std::string site_;
};

class S4dGoldenTest : public testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  void SetUp() override {
    if (!ForceIsa(std::get<1>(GetParam())).ok()) GTEST_SKIP() << "this machine lacks the ISA";
    const std::string folder = fmt::format("tests/golden/s4d_{}", std::get<0>(GetParam()));
    const std::string file = folder + "/model.pth";
    model_ = Load(std::filesystem::exists(file) ? file : folder);
    ASSERT_NE(model_, nullptr);
    want_ = *ReadSafetensors(folder + "/expected.safetensors");
    frames_ = ToF32(*want_.Find("frames"));
    width_ = static_cast<size_t>(model_->graph().nodes[0].width);
  }
  void TearDown() override { EXPECT_TRUE(ForceIsa("native").ok()); }

  std::span<const float> First(int64_t T) const {
    return std::span(frames_).first(static_cast<size_t>(T) * width_);
  }

  std::shared_ptr<const Model> model_;
  WeightMap want_;
  Values frames_;
  size_t width_ = 0;
};

TEST_P(S4dGoldenTest, LogitsEqualTorch) {
  Session session = MakeSession(model_);
  Values logits(static_cast<size_t>(model_->vocab_rows()));
  for (const int64_t T : kLengths) {
    session.Reset();
    ASSERT_TRUE(session.FeedFrames(First(T), logits).ok());
    EXPECT_LT(RelativeError(logits, ToF32(*want_.Find(fmt::format("logits_{}", T)))), 1e-4) << T;
  }
}

TEST_P(S4dGoldenTest, RecurrenceAndConvolutionAgree) {
  const Graph& graph = model_->graph();
  Keep recurrent("layers.0.y"), convolved("layers.0.y");
  Values logits, logits_convolved;
  State state(graph), none(graph);
  const Interpreter recurrence(graph, model_->weights(), AllowedIsas());
  const Interpreter convolution(graph, model_->weights(), AllowedIsas(), S4dMode::kConvolution);
  ASSERT_TRUE(recurrence.RunFrames(frames_, &state, &recurrent, &logits).ok());
  ASSERT_TRUE(convolution.RunFrames(frames_, &none, &convolved, &logits_convolved).ok());
  EXPECT_LT(RelativeError(recurrent.kept, ToF32(*want_.Find("y"))), 1e-4);
  EXPECT_LT(RelativeError(recurrent.kept, convolved.kept), 1e-4);
  EXPECT_LT(RelativeError(logits, logits_convolved), 1e-4);
}

TEST_P(S4dGoldenTest, SplitsAndThreadsChangeNoBit) {
  const bool exact = std::string_view(std::get<1>(GetParam())) != "native";
  Session whole = MakeSession(model_, 2), single = MakeSession(model_);
  const Values want = FeedAll(&whole, frames_);
  EXPECT_EQ(FeedAll(&single, frames_), want);
  EXPECT_TRUE(single.state() == whole.state());
  for (const int64_t cut : {1, 7, 255, 256, 299}) {
    Session session = MakeSession(model_);
    const size_t at = static_cast<size_t>(cut) * width_;
    Values got = FeedAll(&session, std::span(frames_).first(at));
    const State saved = session.state();
    const Values rest = FeedAll(&session, std::span(frames_).subspan(at));
    got.insert(got.end(), rest.begin(), rest.end());
    if (exact) {
      EXPECT_EQ(got, want) << cut;
      EXPECT_TRUE(session.state() == whole.state()) << cut;
    }
    EXPECT_LT(RelativeError(got, want), 1e-5) << cut;
    session.Restore(saved);
    EXPECT_EQ(FeedAll(&session, std::span(frames_).subspan(at)), rest) << cut;
  }
}

TEST_P(S4dGoldenTest, InterpreterAndProgramAgree) {
  Session session = MakeSession(model_);
  State state(model_->graph());
  Values logits;
  const Interpreter interpreter(model_->graph(), model_->weights(), AllowedIsas());
  ASSERT_TRUE(interpreter.RunFrames(frames_, &state, nullptr, &logits).ok());
  EXPECT_EQ(logits, FeedAll(&session, frames_));
  EXPECT_TRUE(state == session.state());
}

INSTANTIATE_TEST_SUITE_P(
    All, S4dGoldenTest,
    testing::Combine(testing::Values("post", "none", "pre", "relu", "sigmoid", "identity"),
                     testing::Values("native", "avx2", "ref")),
    [](const auto& p) { return fmt::format("{}_{}", std::get<0>(p.param), std::get<1>(p.param)); });

std::string DataFolder() {
  const char* given = std::getenv("OCTET_DATA");
  return given != nullptr ? given : "../shared/data";
}

bool HasCheckpoint(const std::string& name) {
  return std::filesystem::exists(DataFolder() + "/weights/" + name);
}

// The first images of a test set through a trained checkpoint.
void ExpectTrained(const std::string& checkpoint, const LabeledImages& images,
                   const PixelScale& scale, const char* name) {
  const auto model = Load(DataFolder() + "/weights/" + checkpoint);
  ASSERT_NE(model, nullptr);
  const WeightMap golden = *ReadSafetensors("tests/golden/s4d_shared/expected.safetensors");
  const Weight& want = *golden.Find(name);
  Session session = MakeSession(model);
  for (int64_t i = 0; i < want.rows(); ++i) {
    Values logits(10), expected(10);
    session.Reset();
    ASSERT_TRUE(session.FeedFrames(FramesOf(images, i, scale), logits).ok());
    RowToF32(want, i, expected.data());
    EXPECT_LT(RelativeError(logits, expected), 1e-4) << i;
  }
}

TEST(S4dTrained, DigitsEqualTorch) {
  const Result<LabeledImages> digits = ReadMnist(DataFolder() + "/mnist", MnistSplit::kTest);
  if (!digits.ok()) GTEST_SKIP() << "needs MNIST: " << digits.status().message();
  if (!HasCheckpoint("s4d_mnist.pth")) GTEST_SKIP() << "needs weights/s4d_mnist.pth";
  ExpectTrained("s4d_mnist.pth", *digits, {{0}, {1}}, "mnist");
  const auto model = Load(DataFolder() + "/weights/s4d_mnist.pth");
  const ClassifyReport report =
      *Classify(model, *digits, {{{0}, {1}}, /*limit=*/500, /*threads=*/2}, {});
  EXPECT_NEAR(report.correct, 494, 1);  // 98.8 %; other instruction sets round otherwise
}

TEST(S4dTrained, PhotographsEqualTorch) {
  const Result<LabeledImages> photographs = ReadCifar10(DataFolder() + "/cifar10/test_1000.bin");
  if (!photographs.ok()) GTEST_SKIP() << "needs CIFAR-10: " << photographs.status().message();
  if (!HasCheckpoint("s4d_cifar10.pth")) GTEST_SKIP() << "needs weights/s4d_cifar10.pth";
  ExpectTrained("s4d_cifar10.pth", *photographs,
                {{0.4914f, 0.4822f, 0.4465f}, {0.2023f, 0.1994f, 0.2010f}}, "cifar10");
}

TEST(S4dInputs, AreChecked) {
  const auto model = Load("tests/golden/s4d_pre");
  ASSERT_NE(model, nullptr);
  Session session = MakeSession(model);
  Values logits(10), few(9);
  const State before = session.state();
  const auto message = [&](std::vector<float> frames, std::span<float> room) {
    return session.FeedFrames(frames, room).message();
  };
  EXPECT_THAT(message({1, 2}, logits), testing::HasSubstr("not whole frames of 3"));
  EXPECT_THAT(message({1, 2, 3, 4, NAN, 6}, logits), testing::HasSubstr("frame 1 is not finite"));
  EXPECT_THAT(message({}, logits), testing::HasSubstr("no tokens"));
  EXPECT_THAT(message({1, 2, 3}, few), testing::HasSubstr("9"));
  const std::vector<TokenId> tokens = {1};
  EXPECT_THAT(session.Feed(tokens, logits).message(), testing::HasSubstr("not tokens"));
  EXPECT_TRUE(session.state() == before);
}

}  // namespace
}  // namespace octet
