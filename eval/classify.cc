#include "eval/classify.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/checked.h"
#include "eval/windows.h"
#include "runtime/session.h"

namespace octet {
namespace {

constexpr int64_t kImagesPerTask = 32;

Status CheckScale(const PixelScale& scale, int64_t channels) {
  if (std::ssize(scale.mean) != channels || std::ssize(scale.std) != channels) {
    return InvalidArgument(
        fmt::format("the images have {} channels, but there are {} means and {} deviations",
                    channels, scale.mean.size(), scale.std.size()));
  }
  const auto is_finite = [](float v) { return std::isfinite(v); };
  if (!std::ranges::all_of(scale.mean, is_finite) || !std::ranges::all_of(scale.std, is_finite) ||
      std::ranges::any_of(scale.std, [](float v) { return v <= 0; })) {
    return InvalidArgument("means must be finite, deviations positive");
  }
  return {};
}

Status CheckFits(const Graph& graph, const LabeledImages& images) {
  const Node& input = graph.nodes[0];
  if (input.op != Op::kFrames) return InvalidArgument("the model reads tokens, not frames");
  if (input.width != images.channels) {
    return InvalidArgument(fmt::format("the model reads frames of {} values, the pixels have {}",
                                       input.width, images.channels));
  }
  const uint8_t largest = *std::ranges::max_element(images.labels);
  if (largest >= graph.vocab_rows) {
    return InvalidArgument(
        fmt::format("the model has {} classes, the labels reach {}", graph.vocab_rows, largest));
  }
  return {};
}

double CrossEntropy(const std::vector<float>& logits, size_t label) {
  const double top = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float l : logits) {
    sum += std::exp(l - top);
  }
  return std::log(sum) + top - logits[label];
}

}  // namespace

double ClassifyReport::standard_error() const {
  return std::sqrt(accuracy() * (1 - accuracy()) / static_cast<double>(images));
}

Result<ClassifyReport> Classify(const std::shared_ptr<const Model>& model,
                                const LabeledImages& images, const ClassifyOptions& options,
                                const Progress& progress) {
  OCTET_TRY(CheckScale(options.scale, images.channels));
  OCTET_TRY(CheckFits(model->graph(), images));
  ClassifyReport report;
  report.images = options.limit > 0 ? std::min(options.limit, images.count) : images.count;
  report.predictions.resize(static_cast<size_t>(report.images));
  std::vector<double> losses(report.predictions.size());
  const auto run = [&](int64_t task, const std::shared_ptr<ThreadPool>& pool) -> Status {
    Session session(model, pool);
    std::vector<float> logits(static_cast<size_t>(model->vocab_rows()));
    const int64_t end = std::min(report.images, (task + 1) * kImagesPerTask);
    for (int64_t i = task * kImagesPerTask; i < end; ++i) {
      session.Reset();
      OCTET_TRY(session.FeedFrames(FramesOf(images, i, options.scale), logits));
      const auto at = static_cast<size_t>(i);
      report.predictions[at] =
          static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());
      losses[at] = CrossEntropy(logits, images.labels[at]);
    }
    return {};
  };
  OCTET_TRY(ForEachWindow(CeilDiv(report.images, kImagesPerTask), options.threads, "classifying",
                          progress, run));
  for (size_t i = 0; i < losses.size(); ++i) {
    report.correct += report.predictions[i] == images.labels[i];
    report.loss += losses[i] / static_cast<double>(report.images);
  }
  return report;
}

}  // namespace octet
