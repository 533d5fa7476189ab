#include "eval/classify.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/checked.h"
#include "base/logits.h"
#include "eval/windows.h"
#include "runtime/session.h"

namespace octet {
namespace {

constexpr int64_t kImagesPerTask = 32;

Status CheckFits(const Graph& graph, const LabeledImages& images) {
  if (images.count < 1) return InvalidArgument("there is no image");
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

}  // namespace

double ClassifyReport::standard_error() const {
  return std::sqrt(accuracy() * (1 - accuracy()) / static_cast<double>(images));
}

Result<ClassifyReport> Classify(const Graph& graph, const Classifier& classifier,
                                const LabeledImages& images, const ClassifyOptions& options,
                                const Progress& progress) {
  OCTET_TRY(CheckFits(graph, images));
  OCTET_TRY(CheckScale(options.scale, images.channels));
  ClassifyReport report;
  report.images = options.limit > 0 ? std::min(options.limit, images.count) : images.count;
  const auto count = static_cast<size_t>(report.images);
  const auto classes = static_cast<size_t>(graph.vocab_rows);
  report.predictions.resize(count);
  report.logits.resize(count * classes);
  const auto run = [&](int64_t task, const std::shared_ptr<ThreadPool>&) -> Status {
    const int64_t end = std::min(report.images, (task + 1) * kImagesPerTask);
    for (int64_t i = task * kImagesPerTask; i < end; ++i) {
      OCTET_ASSIGN(const std::vector<float> logits, classifier(FramesOf(images, i, options.scale)));
      const auto at = static_cast<size_t>(i);
      std::ranges::copy(logits, report.logits.begin() + static_cast<int64_t>(at * classes));
      report.predictions[at] =
          static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());
    }
    return {};
  };
  OCTET_TRY(ForEachWindow(CeilDiv(report.images, kImagesPerTask), options.threads, "classifying",
                          progress, run));
  for (size_t i = 0; i < count; ++i) {
    const std::span<const float> row = std::span(report.logits).subspan(i * classes, classes);
    if (!std::ranges::all_of(row, [](float v) { return std::isfinite(v); })) {
      report.predictions[i] = -1;
      ++report.not_finite;
    }
    report.correct += report.predictions[i] == images.labels[i];
    report.loss += NegativeLogLikelihood(row, images.labels[i]) / static_cast<double>(count);
  }
  return report;
}

Result<ClassifyReport> Classify(const std::shared_ptr<const Model>& model,
                                const LabeledImages& images, const ClassifyOptions& options,
                                const Progress& progress) {
  const auto classify = [&](std::span<const float> frames) -> Result<std::vector<float>> {
    Session session(model, std::make_shared<ThreadPool>(1));
    std::vector<float> logits(static_cast<size_t>(model->vocab_rows()));
    OCTET_TRY(session.FeedFrames(frames, logits));
    return logits;
  };
  return Classify(model->graph(), classify, images, options, progress);
}

double MeanKl(const ClassifyReport& reference, const ClassifyReport& candidate) {
  const size_t rows = reference.predictions.size(), classes = reference.logits.size() / rows;
  double sum = 0;
  for (size_t i = 0; i < rows; ++i) {
    sum += KlDivergence(std::span(reference.logits).subspan(i * classes, classes),
                        std::span(candidate.logits).subspan(i * classes, classes));
  }
  return sum / static_cast<double>(rows);
}

}  // namespace octet
