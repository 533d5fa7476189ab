#include <optional>

#include <fmt/format.h>

#include "quant/passes/passes.h"

namespace octet {
namespace {

using Means = std::vector<std::vector<double>>;  // [document][channel]

// Mean over the tokens of each document of what the block adds to the residual stream.
Means BlockMeans(ResidualStreams& streams) {
  Means means(streams.documents());
  const auto width = static_cast<size_t>(streams.width());
  for (size_t d = 0; d < streams.documents(); ++d) {
    const auto before = streams.entering(d);
    const auto after = streams.leaving(d);
    std::vector<double>& mean = means[d];
    mean.assign(width, 0.0);
    for (size_t i = 0; i < after.size(); ++i) {
      mean[i % width] += static_cast<double>(after[i]) - static_cast<double>(before[i]);
    }
    for (double& m : mean) {
      m /= static_cast<double>(streams.tokens(d));
    }
  }
  return means;
}

void AddToLeaving(const std::vector<float>& c, ResidualStreams* streams) {
  for (size_t d = 0; d < streams->documents(); ++d) {
    const auto rows = streams->leaving(d);
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i] += c[i % c.size()];
    }
  }
}

// c = g (mean_float - mean_quantized) over all tokens, channel by channel.
std::vector<float> Correction(const Means& want, const Means& have, const ResidualStreams& streams,
                              std::optional<double> factor) {
  const size_t documents = want.size(), channels = want[0].size();
  double tokens = 0;
  for (size_t d = 0; d < documents; ++d) {
    tokens += static_cast<double>(streams.tokens(d));
  }
  std::vector<float> correction(channels);
  for (size_t c = 0; c < channels; ++c) {
    double mean = 0, plain = 0, square = 0;
    for (size_t d = 0; d < documents; ++d) {
      const double difference = want[d][c] - have[d][c];
      mean += difference * static_cast<double>(streams.tokens(d)) / tokens;
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

void AddBias(QuantContext& c, int layer, const std::vector<float>& correction) {
  const std::string name = fmt::format("backbone.layers.{}.mixer.out_proj.bias", layer);
  std::vector<float> bias = correction;
  if (const Weight* old = c.weights.Find(name); old != nullptr) {
    const std::vector<float> base = ToF32(*old);
    for (size_t i = 0; i < bias.size(); ++i) {
      bias[i] += base[i];
    }
  }
  const auto width = static_cast<int64_t>(bias.size());
  c.weights.Set(name, MakeWeight(std::move(bias), {width}));
  const ValueId out = c.graph.FindSite(fmt::format("layers.{}.out", layer));
  c.graph.nodes[static_cast<size_t>(out)].weights[1] = name;
}

Status CorrectBlock(QuantContext& c, int layer, std::optional<double> factor) {
  const Means have = BlockMeans(*c.quantized_streams);
  const std::vector<float> correction =
      Correction(c.block_means, have, *c.quantized_streams, factor);
  AddToLeaving(correction, &*c.quantized_streams);
  AddBias(c, layer, correction);
  return {};
}

}  // namespace

Pass RunAsDeployed(const std::string& mean_correction) {
  return {"quantized blocks",
          [mean_correction](QuantContext& c) -> Status {
            OCTET_TRY(ParseMeanCorrection(mean_correction).status());
            return StartStreams(c, &c.quantized_streams);
          },
          [mean_correction](QuantContext& c, int layer) -> Status {
            OCTET_ASSIGN(const std::optional<double> factor, ParseMeanCorrection(mean_correction));
            OCTET_TRY(RunQuantizedBlock(c, layer));
            if (factor && *factor == 0.0) return {};
            return CorrectBlock(c, layer, factor);
          }};
}

}  // namespace octet
