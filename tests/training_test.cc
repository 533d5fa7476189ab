// Contracts of training (train/training.h, train/checkpoint.h):
//  1. Loss falls and accuracy rises on a task that a few steps can learn.
//  2. Parameters, moments and reports have the same bits for any number of threads.
//  3. A run that is stopped after any step and goes on from its checkpoint ends with the bits of
//     one that was not; another order of images gives other bits.
//  4. A loss, gradient, parameter or coefficient that is not finite ends the run with the state
//     before it, so that none is ever saved; so do logits of the images for validation.
//  5. A checkpoint of another run, or a damaged one, is refused in one sentence.
#include <cmath>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arch/s4d.h"
#include "io/scratch_folder.h"
#include "tests/bright_rows.h"
#include "train/checkpoint.h"
#include "train/s4d_init.h"
#include "train/training.h"

namespace octet {
namespace {

using testing::HasSubstr;

class Training : public testing::Test {
 protected:
  void SetUp() override {
    S4dConfig config;
    config.d_input = 1;
    config.d_model = 5;
    config.d_output = 2;
    config.layers = 1;
    config.s4d.modes = 4;
    config.norm = S4dNorm::kPre;
    const WeightMap weights = InitS4d({1, 5, 1, 4, 2, true}, 3);
    graph_ = S4dGraph(config, weights);
    layout_ = *ParameterLayout::Of(graph_, weights);
    start_ = StartTraining(layout_.Gather(weights));
    options_ = {.epochs = 3, .batch = 30, .lr = 0.01, .seed = 7, .threads = 2, .save_seconds = 0};
  }

  Status Go(const TrainingOptions& options, TrainingState* state,
            const TrainingCallbacks& callbacks = {}) const {
    return Train(graph_, layout_, {images_, {{0.2f}, {0.3f}}, 100}, options, callbacks, state);
  }
  TrainingState Finish(const TrainingOptions& options) const {
    TrainingState state = start_;
    const Status s = Go(options, &state);
    EXPECT_TRUE(s.ok()) << s.message();
    return state;
  }

  // The class is whether the bright row lies in the upper half.
  LabeledImages images_ = BrightRows(300, [](uint64_t row) { return row < 2; });
  Graph graph_;
  ParameterLayout layout_;
  TrainingState start_;
  TrainingOptions options_;
};

TEST_F(Training, LearnsAnEasyTask) {
  options_.epochs = 30;
  const TrainingState end = Finish(options_);
  ASSERT_EQ(end.epochs.size(), 30u);
  EXPECT_LT(end.epochs.back().loss, 0.5 * end.epochs.front().loss);
  EXPECT_GT(end.epochs[static_cast<size_t>(end.best_epoch)].accuracy, 0.9);
  for (const EpochReport& e : end.epochs) {
    EXPECT_LE(e.accuracy, end.epochs[static_cast<size_t>(end.best_epoch)].accuracy);
  }
}

TEST_F(Training, ThreadsChangeNoBit) {
  const TrainingState want = Finish(options_);
  for (const int threads : {1, 3, 16}) {
    options_.threads = threads;
    EXPECT_TRUE(Finish(options_) == want) << threads;
  }
  options_.seed = 8;
  EXPECT_FALSE(Finish(options_) == want);
}

TEST_F(Training, GoesOnWithTheBitsOfNeverHavingStopped) {
  const TrainingState want = Finish(options_);
  const ScratchFolder folder;
  const std::string path = folder.At("checkpoint");
  Json run = Json::MakeObject();
  run.Set("seed", 7);
  int64_t saves = 0;
  for (int64_t stop = 1;; ++stop) {
    Result<std::optional<TrainingState>> state = ReadCheckpoint(path, run, layout_.size());
    ASSERT_TRUE(state.ok()) << state.status().message();
    TrainingState s = state->value_or(start_);
    // Two steps further each time; the second is lost.
    int64_t seen = 0;
    TrainingCallbacks callbacks;
    callbacks.save = [&](const TrainingState& now) -> Status {
      if (++seen > 1) return Internal("stopped");
      ++saves;
      return WriteCheckpoint(path, run, now);
    };
    const Status done = Go(options_, &s, callbacks);
    if (!done.ok()) {
      ASSERT_EQ(done.message(), "stopped");
      ASSERT_LT(stop, 100);
      continue;
    }
    EXPECT_TRUE(s == want);
    break;
  }
  EXPECT_EQ(saves, 3 * 7);  // of 200 images, by 30
}

TEST_F(Training, StopsAtWhatIsNotFinite) {
  TrainingState state = start_;
  int64_t saves = 0;
  TrainingCallbacks callbacks;
  callbacks.save = [&](const TrainingState&) -> Status {
    ++saves;
    return {};
  };
  const auto error = [&] {
    state = start_;
    const Status s = Go(options_, &state, callbacks);
    EXPECT_EQ(s.code(), Code::kInvalidArgument);
    EXPECT_EQ(saves, 0) << "what is saved can be gone on with";
    return s.message();
  };
  options_.lr = 1e30;
  EXPECT_THAT(error(), testing::MatchesRegex("epoch 1, step 1: .*no finite discrete form"));
  EXPECT_TRUE(state == start_);
  // The layer stays finite, its logits do not.
  for (const Parameter& p : layout_.all()) {
    if (p.name.starts_with("s4_layers.0.kernel.")) options_.frozen.push_back(p.name);
  }
  options_.batch = 200;
  EXPECT_EQ(error(), "epoch 1: logits of images for validation are not finite");
  options_.lr = 1e38;
  start_.mean[static_cast<size_t>(layout_.Begin("decoder.bias"))] = 1e30f;
  EXPECT_EQ(error(), "epoch 1, step 1: Adam's step of decoder.bias is not finite");
  EXPECT_TRUE(state == start_);
  options_.lr = 0.01;
  start_.parameters[static_cast<size_t>(layout_.Begin("decoder.bias"))] = NAN;
  EXPECT_EQ(error(), "epoch 1, step 1: the loss is not finite");
  EXPECT_EQ(state.step, 0);
}

TEST_F(Training, CheckpointsAreChecked) {
  const ScratchFolder folder;
  const std::string path = folder.At("checkpoint");
  const int64_t size = layout_.size();
  Json run = Json::MakeObject();
  run.Set("lr", 0.5);
  EXPECT_FALSE(ReadCheckpoint(path, run, size)->has_value());
  const TrainingState state = Finish(options_);
  ASSERT_TRUE(WriteCheckpoint(path, run, state).ok());
  EXPECT_TRUE(**ReadCheckpoint(path, run, size) == state);
  Json other = run;
  other.Set("lr", 0.25);
  EXPECT_THAT(ReadCheckpoint(path, other, size).status().message(), HasSubstr("differs (lr)"));
  EXPECT_THAT(ReadCheckpoint(path, run, size + 1).status().message(),
              HasSubstr("parameters does not hold"));
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  const Status damaged = ReadCheckpoint(path, run, size).status();
  EXPECT_EQ(damaged.code(), Code::kCorrupt);
  EXPECT_THAT(damaged.message(), testing::StartsWith(path));
}

}  // namespace
}  // namespace octet
