// Contracts of the shipped S4D model, and of a float one of four layers with norms (weights/
// s4d_mnist.pth in OCTET_DATA) that is quantized here:
//  1. On MNIST's test images they are as good as docs/results/s4d.md says, simulated and in
//     integers, and the two name the same digit on nearly all.
//  2. Their exported C gives exactly the logits of IntegerRun, image by image.
// OCTET_DIGITS_IMAGES images are tried, 200 unless told otherwise; all of them are 10000.
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "edge/export_c.h"
#include "edge/lower.h"
#include "edge/run.h"
#include "io/mnist.h"
#include "io/scratch_folder.h"
#include "quant/s4d/quantized.h"
#include "quant/s4d/recipes.h"
#include "quant/s4d/simulate.h"
#include "runtime/model.h"

namespace octet {
namespace {

// Frames as codes from a file, T of them to an image; logits as int32 to standard output.
constexpr const char* kDriver = R"c(
#include <stdio.h>
#include "model_digits.h"
static digits_context context;
int main(int count, char** arguments) {
  FILE* file = fopen(arguments[count - 1], "rb");
  static int8_t frames[T];
  int32_t logits[DIGITS_OUT];
  while (fread(frames, 1, T, file) == T) {
    digits_init(&context);
    digits_run(&context, frames, T);
    digits_read(&context, logits);
    fwrite(logits, sizeof logits[0], DIGITS_OUT, stdout);
  }
  return 0;
}
)c";

int64_t Images() {
  const char* given = std::getenv("OCTET_DIGITS_IMAGES");
  return given != nullptr ? std::atoll(given) : 200;
}

struct Subject {
  const char* name;
  const char* model;   // a quantized folder, or a float checkpoint in OCTET_DATA
  const char* recipe;  // of the checkpoint; null for the folder
  PixelScale scale;
};

class Digits : public testing::TestWithParam<Subject> {
 protected:
  void SetUp() override {
    const char* given = std::getenv("OCTET_DATA");
    const std::string data = given != nullptr ? given : "../shared/data";
    Result<LabeledImages> images = ReadMnist(data + "/mnist", MnistSplit::kTest);
    if (!images.ok()) GTEST_SKIP() << "needs MNIST: " << images.status().message();
    images_ = *std::move(images);
    count_ = std::min(Images(), images_.count);
    const Subject& s = GetParam();
    const std::string path = s.recipe == nullptr ? s.model : data + "/" + s.model;
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "needs " << s.model << " in OCTET_DATA";
    Result<FloatCheckpoint> model = LoadS4dCheckpoint(path);
    ASSERT_TRUE(model.ok()) << model.status().message();
    model_ = *std::move(model);
    Result<S4dQuantization> q = s.recipe == nullptr ? Parse() : Quantize(data);
    ASSERT_TRUE(q.ok()) << q.status().message();
    quantization_ = *std::move(q);
    Result<IntegerS4d> integers =
        LowerS4d(model_.graph, model_.weights, quantization_.plan, quantization_.ranges);
    ASSERT_TRUE(integers.ok()) << integers.status().message();
    integers_ = *std::move(integers);
  }

  Result<S4dQuantization> Parse() const {
    return ParseS4dQuantization(*model_.config.Find("quantization_config"), model_.graph);
  }
  // By the recipe, calibrated on training images.
  Result<S4dQuantization> Quantize(const std::string& data) const {
    S4dQuantization q;
    OCTET_ASSIGN(q.plan, LoadS4dRecipe(GetParam().recipe));
    OCTET_ASSIGN(const LabeledImages training, ReadMnist(data + "/mnist", MnistSplit::kTrain));
    ThreadPool pool(2);
    const auto sequence = [&](int64_t i) { return FramesOf(training, i, GetParam().scale); };
    OCTET_ASSIGN(q.ranges, ObserveS4d(model_.graph, model_.weights, 64, sequence, &pool));
    return q;
  }

  std::vector<float> FramesAt(int64_t i) const { return FramesOf(images_, i, GetParam().scale); }
  // What `run` takes each image for.
  template <class Run>
  std::vector<int> Guesses(const Run& run) const {
    std::vector<int> guesses;
    for (int64_t i = 0; i < count_; ++i) {
      const auto logits = run(i);
      guesses.push_back(static_cast<int>(std::ranges::max_element(logits) - logits.begin()));
    }
    return guesses;
  }
  // How many of the guesses are what `other` says.
  template <class Other>
  double Share(const std::vector<int>& guesses, const Other& other) const {
    int64_t same = 0;
    for (size_t i = 0; i < guesses.size(); ++i) {
      same += guesses[i] == other[i] ? 1 : 0;
    }
    return static_cast<double>(same) / static_cast<double>(count_);
  }
  std::vector<int32_t> IntegerLogits(int64_t i) const {
    IntegerRun run(integers_);
    for (const int8_t code : FrameCodesOf(integers_, FramesAt(i))) {
      EXPECT_TRUE(run.Step({&code, 1}).ok());
    }
    return run.Read();
  }

  LabeledImages images_;
  int64_t count_ = 0;
  FloatCheckpoint model_;
  S4dQuantization quantization_;
  IntegerS4d integers_;
};

TEST_P(Digits, AreRecognized) {
  const Result<S4dSimulation> simulation =
      S4dSimulation::Create(model_.graph, model_.weights, quantization_.plan, quantization_.ranges);
  ASSERT_TRUE(simulation.ok());
  const auto simulated = Guesses([&](int64_t i) { return *simulation->Run(FramesAt(i)); });
  const auto integers = Guesses([&](int64_t i) { return IntegerLogits(i); });
  // 3.5 standard errors of 200 images below the accuracy on all; the models with norms have 97.8 %
  // and more.
  const double least = GetParam().recipe == nullptr ? 0.92 : 0.94;
  EXPECT_GE(Share(simulated, images_.labels), least);
  EXPECT_GE(Share(integers, images_.labels), least);
  EXPECT_GE(Share(integers, simulated), 0.97);
  std::cout << "simulated " << Share(simulated, images_.labels) << ", integers "
            << Share(integers, images_.labels) << ", the same guess " << Share(integers, simulated)
            << "\n";
}

TEST_P(Digits, HaveTheSameLogitsInC) {
  const ScratchFolder scratch;
  Result<OutputFolder> out = OutputFolder::Create(scratch.At("c"));
  ASSERT_TRUE(out.ok());
  CExport options;
  options.name = "digits";
  ASSERT_TRUE(WriteC(integers_, options, &*out).ok() && out->Commit().ok());
  scratch.Write("c/driver.c", kDriver);
  std::string codes;
  int64_t length = 0;
  for (int64_t i = 0; i < count_; ++i) {
    const std::vector<int8_t> image = FrameCodesOf(integers_, FramesAt(i));
    length = std::ssize(image);
    codes.append(image.begin(), image.end());
  }
  scratch.Write("codes", codes);
  const std::string command = fmt::format(
      "cd {} && cc -std=c99 -O2 -Wall -Wextra -Wconversion -Wpedantic -Werror -DT={} -o driver "
      "driver.c model_digits.c ssm_rt.c && ./driver ../codes > ../logits",
      scratch.At("c"), length);
  ASSERT_EQ(std::system(command.c_str()), 0);  // NOLINT: a compiler of the test's own choice
  const std::string got = ReadBytes(scratch.At("logits"));
  ASSERT_EQ(got.size(), static_cast<size_t>(count_) * 10 * sizeof(int32_t));
  int64_t mismatches = 0;
  for (int64_t i = 0; i < count_; ++i) {
    int32_t logits[10];
    std::memcpy(logits, got.data() + static_cast<size_t>(i) * sizeof logits, sizeof logits);
    mismatches += !std::ranges::equal(logits, IntegerLogits(i));
  }
  EXPECT_EQ(mismatches, 0);
  std::cout << count_ << " images, " << mismatches << " with other logits\n";
}

INSTANTIATE_TEST_SUITE_P(
    S4d, Digits,
    testing::Values(
        Subject{"shipped", "models/digits-s4d-16h-w4a6", nullptr, {{0.1307f}, {0.3081f}}},
        Subject{"norms_w8a8", "weights/s4d_mnist.pth", "w8a8", {{0}, {1}}},
        Subject{"norms_w4a6", "weights/s4d_mnist.pth", "w4a6", {{0}, {1}}}),
    [](const auto& subject) { return subject.param.name; });

}  // namespace
}  // namespace octet
