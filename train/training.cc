#include "train/training.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "base/checked.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "train/backprop.h"

namespace octet {
namespace {

// A batch is cut into so many sums, which are added in order.
constexpr int64_t kParts = 16;
constexpr int64_t kImagesPerTask = 64;

using Clock = std::chrono::steady_clock;

// The order of the images of an epoch (Fisher and Yates).
std::vector<int64_t> Shuffled(int64_t count, uint64_t seed, int64_t epoch) {
  Rng rng(Rng(seed).Next() + static_cast<uint64_t>(epoch));
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[rng.Below(i)]);
  }
  return order;
}

// Where a gradient is 0 from the first step on, its parameter stays as it is, bit for bit.
void StepOfAdam(const std::vector<double>& gradient, int64_t step, double lr, TrainingState* s) {
  constexpr double kMean = 0.9, kSquare = 0.999, kEps = 1e-8;
  const auto power = static_cast<double>(step + 1);
  const double mean_bias = 1 - std::pow(kMean, power), square_bias = 1 - std::pow(kSquare, power);
  for (size_t i = 0; i < gradient.size(); ++i) {
    const double g = gradient[i];
    const double mean = kMean * s->mean[i] + (1 - kMean) * g;
    const double square = kSquare * s->square[i] + (1 - kSquare) * g * g;
    s->mean[i] = static_cast<float>(mean);
    s->square[i] = static_cast<float>(square);
    s->parameters[i] = static_cast<float>(
        s->parameters[i] - lr * (mean / mean_bias) / (std::sqrt(square / square_bias) + kEps));
  }
}

class Trainer {
 public:
  Trainer(Backprop<float> backprop, const ParameterLayout& layout, const TrainingData& data,
          const TrainingOptions& options, const TrainingCallbacks& callbacks, TrainingState* state)
      : backprop_(std::move(backprop)),
        layout_(layout),
        data_(data),
        options_(options),
        callbacks_(callbacks),
        state_(*state),
        pool_(options.threads),
        workspaces_(static_cast<size_t>(options.threads)),
        sums_(kParts),
        images_(data.images.count - data.validation),
        steps_(CeilDiv(images_, options.batch)),
        saved_(Clock::now()) {}

  Status Run() {
    OCTET_TRY(backprop_.SetParameters(state_.parameters));
    while (std::ssize(state_.epochs) < options_.epochs) {
      OCTET_TRY(RunEpoch());
    }
    return {};
  }

 private:
  Status RunEpoch() {
    const int64_t epoch = std::ssize(state_.epochs);
    const std::vector<int64_t> order = Shuffled(images_, options_.seed, epoch);
    const std::string what = fmt::format("epoch {} of {}", epoch + 1, options_.epochs);
    while (state_.step < steps_) {
      Progress(what, state_.step);
      const int64_t begin = state_.step * options_.batch;
      const int64_t count = std::min(options_.batch, images_ - begin);
      const std::span batch(order.data() + begin, static_cast<size_t>(count));
      const Status done = RunStep(epoch, batch);
      if (!done.ok()) {
        return done.Annotate(fmt::format("epoch {}, step {}", epoch + 1, state_.step + 1));
      }
      const double since = std::chrono::duration<double>(Clock::now() - saved_).count();
      if (state_.step < steps_ && since >= options_.save_seconds) OCTET_TRY(Save());
    }
    OCTET_TRY(EndEpoch(epoch));
    Progress(what, steps_);
    if (callbacks_.epoch) callbacks_.epoch(epoch, state_.epochs.back());
    return Save();
  }

  // From and to a state whose parameters `backprop_` has and can run with.
  Status RunStep(int64_t epoch, std::span<const int64_t> batch) {
    const std::vector<double> losses = RunBatch(batch);
    double loss = 0;
    for (const double l : losses) {
      loss += l;
    }
    std::vector<float> sum(static_cast<size_t>(backprop_.sum_size()));
    const auto share = 1 / static_cast<float>(batch.size());
    for (size_t i = 0; i < sum.size(); ++i) {
      for (const std::vector<float>& part : sums_) {
        sum[i] += part[i];
      }
      sum[i] *= share;
    }
    std::vector<double> gradient = backprop_.Chain(sum);
    if (!std::isfinite(loss)) return InvalidArgument("the loss is not finite");
    OCTET_TRY(CheckFinite(gradient, "the gradient"));
    for (const std::string& name : options_.frozen) {
      const auto begin = gradient.begin() + layout_.Begin(name);
      std::fill_n(begin, layout_.At(layout_.Begin(name)).count, 0.0);
    }
    const int64_t step = epoch * steps_ + state_.step, total = options_.epochs * steps_;
    const double phase = static_cast<double>(step) / static_cast<double>(total);
    const double lr = options_.lr * 0.5 * (1 + std::cos(std::numbers::pi * phase));
    TrainingState next = state_;
    StepOfAdam(gradient, step, lr, &next);
    for (const auto* values : {&next.parameters, &next.mean, &next.square}) {
      OCTET_TRY(CheckFinite(*values, "Adam's step"));
    }
    OCTET_TRY(backprop_.SetParameters(next.parameters));
    state_ = std::move(next);
    state_.loss += loss;
    ++state_.step;
    return {};
  }

  Target TargetOf(int64_t image) const {
    Target target;
    target.label = data_.images.labels[static_cast<size_t>(image)];
    if (data_.teacher.empty() || options_.teacher_share == 0) return target;
    const size_t classes = data_.teacher.size() / static_cast<size_t>(data_.images.count);
    target.teacher = data_.teacher.subspan(static_cast<size_t>(image) * classes, classes);
    target.share = options_.teacher_share;
    target.temperature = options_.temperature;
    return target;
  }

  // The loss of each image of the batch; gradients in sums_.
  std::vector<double> RunBatch(std::span<const int64_t> batch) {
    const auto count = std::ssize(batch);
    std::vector<double> losses(batch.size());
    pool_.For(kParts, [&](int64_t part, int worker) {
      auto& ws = workspaces_[static_cast<size_t>(worker)];
      std::vector<float>& sum = sums_[static_cast<size_t>(part)];
      sum.assign(static_cast<size_t>(backprop_.sum_size()), 0.0f);
      for (int64_t i = part * count / kParts; i < (part + 1) * count / kParts; ++i) {
        const int64_t image = batch[static_cast<size_t>(i)];
        backprop_.Forward(FramesOf(data_.images, image, data_.scale), &ws);
        losses[static_cast<size_t>(i)] = backprop_.Backward(TargetOf(image), &ws, sum);
      }
    });
    return losses;
  }

  template <class Value>
  Status CheckFinite(const std::vector<Value>& values, const char* what) const {
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::isfinite(values[i])) continue;
      return InvalidArgument(
          fmt::format("{} of {} is not finite", what, layout_.At(static_cast<int64_t>(i)).name));
    }
    return {};
  }

  Status EndEpoch(int64_t epoch) {
    EpochReport report;
    report.loss = state_.loss / static_cast<double>(images_);
    OCTET_ASSIGN(const int64_t correct, Validate(epoch));
    report.accuracy =
        static_cast<double>(correct) / static_cast<double>(std::max<int64_t>(1, data_.validation));
    const auto best = static_cast<size_t>(std::max<int64_t>(0, state_.best_epoch));
    if (state_.best_epoch < 0 || report.accuracy > state_.epochs[best].accuracy) {
      state_.best = state_.parameters;
      state_.best_epoch = epoch;
    }
    state_.epochs.push_back(report);
    state_.step = 0;
    state_.loss = 0;
    return {};
  }

  // How many of the images for validation are classified as their label says.
  Result<int64_t> Validate(int64_t epoch) {
    enum Outcome : uint8_t { kWrong, kCorrect, kNotFinite };
    std::vector<Outcome> outcomes(static_cast<size_t>(data_.validation));
    pool_.For(CeilDiv(data_.validation, kImagesPerTask), [&](int64_t task, int worker) {
      auto& ws = workspaces_[static_cast<size_t>(worker)];
      const int64_t end = std::min(data_.validation, (task + 1) * kImagesPerTask);
      for (int64_t i = task * kImagesPerTask; i < end; ++i) {
        backprop_.Forward(FramesOf(data_.images, images_ + i, data_.scale), &ws);
        const auto guess = std::ranges::max_element(ws.logits) - ws.logits.begin();
        const uint8_t label = data_.images.labels[static_cast<size_t>(images_ + i)];
        const bool finite =
            std::ranges::all_of(ws.logits, [](float v) { return std::isfinite(v); });
        outcomes[static_cast<size_t>(i)] = !finite          ? kNotFinite
                                           : guess == label ? kCorrect
                                                            : kWrong;
      }
    });
    if (std::ranges::count(outcomes, kNotFinite) > 0) {
      return InvalidArgument(
          fmt::format("epoch {}: logits of images for validation are not finite", epoch + 1));
    }
    return std::ranges::count(outcomes, kCorrect);
  }

  void Progress(const std::string& what, int64_t done) const {
    if (callbacks_.progress) callbacks_.progress(what, done, steps_);
  }

  Status Save() {
    saved_ = Clock::now();
    return callbacks_.save ? callbacks_.save(state_) : Status();
  }

  Backprop<float> backprop_;
  const ParameterLayout& layout_;
  const TrainingData& data_;
  const TrainingOptions& options_;
  const TrainingCallbacks& callbacks_;
  TrainingState& state_;
  ThreadPool pool_;
  std::vector<Backprop<float>::Workspace> workspaces_;  // by worker
  std::vector<std::vector<float>> sums_;                // by part
  const int64_t images_, steps_;                        // of an epoch
  Clock::time_point saved_;
};

}  // namespace

TrainingState StartTraining(std::vector<float> parameters) {
  TrainingState s;
  s.mean.resize(parameters.size());
  s.square.resize(parameters.size());
  s.parameters = std::move(parameters);
  return s;
}

Result<std::vector<float>> TeacherLogits(
    const Graph& graph, const ParameterLayout& layout, std::span<const float> parameters,
    const TrainingData& data, int threads,
    const std::function<void(std::string_view what, int64_t done, int64_t total)>& progress) {
  OCTET_ASSIGN(Backprop<float> backprop, Backprop<float>::Create(graph, layout));
  OCTET_TRY(backprop.SetParameters(parameters));
  const int64_t count = data.images.count, classes = graph.vocab_rows;
  std::vector<float> logits(static_cast<size_t>(count * classes));
  ThreadPool pool(threads);
  std::vector<Backprop<float>::Workspace> workspaces(static_cast<size_t>(threads));
  constexpr int64_t kReported = 1024;  // images between two calls of progress
  for (int64_t begin = 0; begin < count; begin += kReported) {
    if (progress) progress("asking the teacher", begin, count);
    pool.For(std::min(kReported, count - begin), [&](int64_t i, int worker) {
      auto& ws = workspaces[static_cast<size_t>(worker)];
      backprop.Forward(FramesOf(data.images, begin + i, data.scale), &ws);
      std::ranges::copy(ws.logits, logits.begin() + (begin + i) * classes);
    });
  }
  if (progress) progress("asking the teacher", count, count);
  return logits;
}

Status Train(const Graph& graph, const ParameterLayout& layout, const TrainingData& data,
             const TrainingOptions& options, const TrainingCallbacks& callbacks,
             TrainingState* state) {
  for (const std::string& name : options.frozen) {
    if (layout.Begin(name) < 0) return InvalidArgument(name + ": the model has no such tensor");
  }
  OCTET_ASSIGN(Backprop<float> backprop,
               Backprop<float>::Create(graph, layout, options.quantization));
  return Trainer(std::move(backprop), layout, data, options, callbacks, state).Run();
}

}  // namespace octet
