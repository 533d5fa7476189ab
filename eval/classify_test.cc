// Contracts:
//  1. Frames are the scaled pixels in row order, channels together; the report counts what a
//  session
//     says of each image, and its loss is the mean cross entropy.
//  2. It does not depend on the number of threads; the limit takes the first images.
//  3. What does not fit is refused in one sentence.
#include "eval/classify.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "eval/test_model.h"
#include "runtime/session.h"

namespace octet {
namespace {

using testing::HasSubstr;

std::shared_ptr<const Model> LoadGolden(const std::string& name) {
  auto model = Model::Load("tests/golden/" + name, {});
  EXPECT_TRUE(model.ok()) << model.status().message();
  return model.ok() ? *model : nullptr;
}

// Reads frames of two values.
std::shared_ptr<const Model> LoadPairs() {
  return LoadGolden("s4d_relu");
}

LabeledImages MakeImages(int64_t count) {
  LabeledImages images{count, 3, 5, 2, {}, {}};
  Rng rng(5);
  for (int64_t i = 0; i < count * 30; ++i) {
    images.pixels.push_back(static_cast<uint8_t>(rng.Below(256)));
  }
  for (int64_t i = 0; i < count; ++i) {
    images.labels.push_back(static_cast<uint8_t>(rng.Below(10)));
  }
  return images;
}

ClassifyOptions Options() {
  return {{{0.25f, 0.5f}, {0.5f, 2}}, 0, 1};
}

TEST(Classify, CountsWhatASessionSays) {
  const auto model = LoadPairs();
  const LabeledImages images = MakeImages(70);
  const ClassifyReport report = *Classify(model, images, Options(), {});
  ASSERT_EQ(report.images, 70);
  int64_t correct = 0;
  double loss = 0;
  Session session(model, std::make_shared<ThreadPool>(1));
  for (size_t i = 0; i < 70; ++i) {
    std::vector<float> frames, logits(10);
    for (size_t p = 0; p < 30; ++p) {
      const float value = static_cast<float>(images.pixels[i * 30 + p]) / 255.0f;
      frames.push_back(p % 2 == 0 ? (value - 0.25f) / 0.5f : (value - 0.5f) / 2);
    }
    EXPECT_EQ(FramesOf(images, static_cast<int64_t>(i), Options().scale), frames);
    session.Reset();
    ASSERT_TRUE(session.FeedFrames(frames, logits).ok());
    double sum = 0;
    size_t best = 0;
    for (size_t c = 0; c < 10; ++c) {
      sum += std::exp(static_cast<double>(logits[c]));
      if (logits[c] > logits[best]) best = c;
    }
    EXPECT_EQ(report.predictions[i], static_cast<int32_t>(best));
    correct += best == images.labels[i];
    loss += std::log(sum) - logits[images.labels[i]];
  }
  EXPECT_EQ(report.correct, correct);
  EXPECT_NEAR(report.loss, loss / 70, 1e-9);
  const double p = static_cast<double>(correct) / 70;
  EXPECT_DOUBLE_EQ(report.accuracy(), p);
  EXPECT_DOUBLE_EQ(report.standard_error(), std::sqrt(p * (1 - p) / 70));
}

TEST(Classify, ThreadsChangeNothingAndTheLimitTakesTheFirst) {
  const auto model = LoadPairs();
  const LabeledImages images = MakeImages(70);
  const ClassifyReport one = *Classify(model, images, Options(), {});
  ClassifyOptions options = Options();
  options.threads = 3;
  const ClassifyReport three = *Classify(model, images, options, {});
  EXPECT_EQ(one.predictions, three.predictions);
  EXPECT_EQ(one.loss, three.loss);
  options.limit = 33;
  const ClassifyReport some = *Classify(model, images, options, {});
  ASSERT_EQ(some.images, 33);
  EXPECT_TRUE(
      std::equal(some.predictions.begin(), some.predictions.end(), one.predictions.begin()));
}

TEST(Classify, RefusesWhatDoesNotFit) {
  LabeledImages images = MakeImages(2);
  const auto error = [&](const std::shared_ptr<const Model>& model,
                         const ClassifyOptions& options) {
    return Classify(model, images, options, {}).status().message();
  };
  EXPECT_THAT(error(LoadGolden("s4d_none"), Options()),
              HasSubstr("frames of 1 values, the pixels have 2"));
  EXPECT_THAT(error(LoadBooks(), Options()), HasSubstr("tokens"));
  ClassifyOptions options = Options();
  options.scale.mean = {0};
  EXPECT_THAT(error(LoadPairs(), options), HasSubstr("2 channels"));
  options = Options();
  options.scale.std[1] = 0;
  EXPECT_THAT(error(LoadPairs(), options), HasSubstr("positive"));
  images.labels[1] = 12;
  EXPECT_THAT(error(LoadPairs(), Options()), HasSubstr("10 classes, the labels reach 12"));
}

TEST(MeanKl, IsZeroForItselfAndPositiveOtherwise) {
  const LabeledImages images = MakeImages(5);
  const ClassifyReport a = *Classify(LoadPairs(), images, Options(), {});
  ClassifyReport b = a;
  EXPECT_EQ(MeanKl(a, b), 0);
  double want = 0;
  b.logits[13] += 2;  // of image 1
  double sum_p = 0, sum_q = 0;
  for (size_t c = 10; c < 20; ++c) {
    sum_p += std::exp(static_cast<double>(a.logits[c]));
    sum_q += std::exp(static_cast<double>(b.logits[c]));
  }
  for (size_t c = 10; c < 20; ++c) {
    const double pc = std::exp(static_cast<double>(a.logits[c])) / sum_p;
    want += pc * std::log(pc / (std::exp(static_cast<double>(b.logits[c])) / sum_q));
  }
  EXPECT_NEAR(MeanKl(a, b), want / 5, 1e-9);
}

}  // namespace
}  // namespace octet
