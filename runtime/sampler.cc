#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>

namespace octet {

Result<Sampler> Sampler::Create(const SamplingOptions& options) {
  if (!(options.temperature >= 0) || std::isinf(options.temperature)) {
    return InvalidArgument("the temperature must be a number of at least 0");
  }
  if (options.top_k < 0) return InvalidArgument("top-k must be at least 0");
  if (!(options.top_p > 0) || options.top_p > 1) return InvalidArgument("top-p must be in (0, 1]");
  return Sampler(options);
}

Result<TokenId> Sampler::Sample(std::span<const float> logits, int64_t vocab) {
  candidates_.clear();
  for (int64_t i = 0; i < std::min<int64_t>(vocab, static_cast<int64_t>(logits.size())); ++i) {
    const float logit = logits[static_cast<size_t>(i)];
    if (!std::isfinite(logit)) return Internal("the model produced logits that are not finite");
    candidates_.emplace_back(logit, static_cast<TokenId>(i));
  }
  if (candidates_.empty()) return InvalidArgument("there is no token to choose from");
  const auto better = [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  };
  if (options_.temperature == 0) return std::ranges::min_element(candidates_, better)->second;
  size_t keep = candidates_.size();
  if (options_.top_k > 0) keep = std::min(keep, static_cast<size_t>(options_.top_k));
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(keep),
                    candidates_.end(), better);
  candidates_.resize(keep);
  double total = 0;
  std::vector<double> weights(keep);
  for (size_t i = 0; i < keep; ++i) {
    weights[i] = std::exp(
        (static_cast<double>(candidates_[i].first) - static_cast<double>(candidates_[0].first)) /
        options_.temperature);
    total += weights[i];
  }
  double reached = 0;
  for (size_t i = 0; i < keep; ++i) {
    reached += weights[i];
    if (reached >= options_.top_p * total) {
      keep = i + 1;
      break;
    }
  }
  double draw = rng_.Uniform() * reached;
  for (size_t i = 0; i < keep; ++i) {
    draw -= weights[i];
    if (draw < 0) return candidates_[i].second;
  }
  return candidates_[keep - 1].second;
}

}  // namespace octet
