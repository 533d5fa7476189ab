#include "exec/inputs.h"

#include <cmath>

#include <fmt/format.h>

namespace octet {

Status CheckTokens(const Graph& graph, std::span<const TokenId> tokens) {
  if (graph.nodes[0].op != Op::kEmbedding) {
    return InvalidArgument("this model reads frames of numbers, not tokens");
  }
  for (const TokenId id : tokens) {
    if (id < 0 || id >= graph.vocab_rows) {
      return InvalidArgument(
          fmt::format("token {} is outside the vocabulary of {} rows", id, graph.vocab_rows));
    }
  }
  return {};
}

Status CheckFrames(const Graph& graph, std::span<const float> frames) {
  if (graph.nodes[0].op != Op::kFrames) {
    return InvalidArgument("this model reads tokens, not frames of numbers");
  }
  const int64_t width = graph.nodes[0].width;
  if (std::ssize(frames) % width != 0) {
    return InvalidArgument(
        fmt::format("{} values are not whole frames of {}", frames.size(), width));
  }
  for (size_t i = 0; i < frames.size(); ++i) {
    if (std::isfinite(frames[i])) continue;
    return InvalidArgument(fmt::format("frame {} is not finite", static_cast<int64_t>(i) / width));
  }
  return {};
}

}  // namespace octet
