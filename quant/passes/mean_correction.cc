#include <fmt/format.h>

#include "exec/program.h"
#include "kernels/isa.h"
#include "quant/passes/passes.h"

namespace octet {
namespace {

using Means = std::vector<std::vector<double>>;  // [document][channel]

// The quantized model's residual streams of all documents, advanced block by block.
class Streams {
 public:
  Streams(const QuantContext& c, const Program& program)
      : data_(c.data), program_(program), pool_(c.pool), width_(c.graph.nodes[0].width) {
    for (int i = 0; i < pool_.threads(); ++i) {
      workspaces_.push_back(std::make_unique<ProgramWorkspace>(&serial_));
    }
  }

  Status Embed(const QuantContext& c) {
    const Interpreter interpreter(c.graph, c.weights, AllowedIsas());
    for (const auto& document : data_.documents) {
      OCTET_ASSIGN(std::vector<float> rows, interpreter.Embed(document));
      residuals_.push_back(std::move(rows));
    }
    return {};
  }

  // Runs block `layer`; gives the mean of its output for each document.
  Status RunLayer(int layer, Means* means) {
    const size_t count = residuals_.size();
    means->assign(count, {});
    std::vector<Status> statuses(count);
    pool_.For(static_cast<int64_t>(count), [&](int64_t task, int worker) {
      const auto i = static_cast<size_t>(task);
      State state(program_.graph());  // every block starts at the document's start
      const std::vector<float> before = residuals_[i];
      statuses[i] = program_.RunLayer(layer, &residuals_[i], &state,
                                      workspaces_[static_cast<size_t>(worker)].get());
      (*means)[i] = MeanDifference(residuals_[i], before);
    });
    for (const Status& s : statuses) {
      OCTET_TRY(s);
    }
    return {};
  }

  void AddToAll(const std::vector<float>& c) {
    for (std::vector<float>& stream : residuals_) {
      for (size_t i = 0; i < stream.size(); ++i) {
        stream[i] += c[i % c.size()];
      }
    }
  }

  double Tokens(size_t document) const {
    return static_cast<double>(data_.documents[document].size());
  }

 private:
  std::vector<double> MeanDifference(const std::vector<float>& a,
                                     const std::vector<float>& b) const {
    std::vector<double> mean(static_cast<size_t>(width_), 0.0);
    for (size_t i = 0; i < a.size(); ++i) {
      mean[i % mean.size()] += static_cast<double>(a[i]) - static_cast<double>(b[i]);
    }
    const size_t tokens = a.size() / mean.size();
    for (double& m : mean) {
      m /= static_cast<double>(tokens);
    }
    return mean;
  }

  const TokenDataset& data_;
  const Program& program_;
  ThreadPool& pool_;
  int64_t width_;
  ThreadPool serial_{1};
  std::vector<std::unique_ptr<ProgramWorkspace>> workspaces_;  // one for each thread of pool_
  std::vector<std::vector<float>> residuals_;
};

// c = g (mean_float - mean_quantized) over all tokens, channel by channel.
std::vector<float> Correction(const Means& want, const Means& have, const Streams& streams,
                              std::optional<double> factor) {
  const size_t documents = want.size(), channels = want[0].size();
  double tokens = 0;
  for (size_t d = 0; d < documents; ++d) {
    tokens += streams.Tokens(d);
  }
  std::vector<float> correction(channels);
  for (size_t c = 0; c < channels; ++c) {
    double mean = 0, plain = 0, square = 0;
    for (size_t d = 0; d < documents; ++d) {
      const double difference = want[d][c] - have[d][c];
      mean += difference * streams.Tokens(d) / tokens;
      plain += difference / static_cast<double>(documents);
      square += difference * difference / static_cast<double>(documents);
    }
    double g = factor.value_or(1.0);
    if (!factor && documents > 1) {
      const double n = static_cast<double>(documents);
      const double variance = (square - plain * plain) * n / (n - 1);
      const double tau2 = variance > 0 ? variance / n : 0.0;
      g = mean == 0 ? 0.0 : mean * mean / (mean * mean + tau2);
    }
    correction[c] = static_cast<float>(g * mean);
  }
  return correction;
}

void SetBias(int layer, const std::vector<float>& correction, QuantContext* c) {
  const std::string name = fmt::format("backbone.layers.{}.mixer.out_proj.bias", layer);
  std::vector<float> bias = correction;
  if (const Weight* old = c->weights.Find(name); old != nullptr) {
    const std::vector<float> base = ToF32(*old);
    for (size_t i = 0; i < bias.size(); ++i) {
      bias[i] += base[i];
    }
  }
  const auto width = static_cast<int64_t>(bias.size());
  c->weights.Set(name, MakeWeight(std::move(bias), {width}));
  const ValueId out = c->graph.FindSite(fmt::format("layers.{}.out", layer));
  c->graph.nodes[static_cast<size_t>(out)].weights[1] = name;
}

}  // namespace

Pass CorrectMeans(std::optional<double> factor) {
  return {"mean correction", [factor](QuantContext& c) -> Status {
            if (factor && *factor == 0.0) return {};
            OCTET_ASSIGN(const std::unique_ptr<Program> program,
                         Program::Lower(c.graph, c.weights, {AllowedIsas(), false}));
            Streams streams(c, *program);
            OCTET_TRY(streams.Embed(c));
            Means have;
            for (int layer = 0; layer < c.graph.layers; ++layer) {
              OCTET_TRY(streams.RunLayer(layer, &have));
              const Means& want = c.calibration.block_means[static_cast<size_t>(layer)];
              const std::vector<float> correction = Correction(want, have, streams, factor);
              streams.AddToAll(correction);
              SetBias(layer, correction, &c);
              if (c.progress) c.progress("correcting means", layer + 1, c.graph.layers);
            }
            return {};
          }};
}

}  // namespace octet
