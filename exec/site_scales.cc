#include "exec/site_scales.h"

#include <algorithm>
#include <cmath>

namespace octet {
namespace {

using Along = SiteScales::Along;

constexpr std::string_view kInner = ".ssd.";

// The encoding of an inner site, and which of its scales belong to the values shown.
std::pair<std::string, Along> Resolve(std::string_view site) {
  const std::string name(site);
  if (site.ends_with(".ssd.x_scaled")) return {name, Along::kColumns};
  if (site.ends_with(".ssd.score")) return {name, Along::kAll};
  constexpr std::string_view kLocal = "local_state";
  if (site.ends_with(".ssd.local_state")) {
    return {name.substr(0, name.size() - kLocal.size()) + "state", Along::kRows};
  }
  return {name, Along::kRows};
}

// Only the paper's integer state passing rounds the local state.
bool PassesIntegers(const Graph& graph, std::string_view state_site) {
  const std::string y = std::string(state_site.substr(0, state_site.find(kInner))) + ".y";
  const ValueId v = graph.FindSite(y);
  return v >= 0 && graph.nodes[static_cast<size_t>(v)].ssd.gate_q7;
}

size_t Count(Along along, int64_t rows, int64_t cols) {
  return static_cast<size_t>(along == Along::kAll ? 1 : along == Along::kRows ? rows : cols);
}

// `index`: the head or group, -1 for a node site.
void SetStatic(const Encoding& e, int64_t index, SiteScales* s) {
  const size_t n = s->scales.size();
  for (size_t i = 0; i < n; ++i) {
    const size_t at = index < 0 ? i * e.scales.size() / n : static_cast<size_t>(index) * n + i;
    s->scales[i] = e.scales[at];
    if (!e.zeros.empty()) s->zeros[i] = e.zeros[at];
  }
}

void SetFromValues(const float* values, int64_t rows, int64_t cols, SiteScales* s) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      float& peak = s->scales[s->Index(r, c)];
      peak = std::max(peak, std::fabs(values[r * cols + c]));
    }
  }
  for (float& scale : s->scales) {
    scale = FitCodec(s->codec, {-scale, scale}).scale;
  }
}

}  // namespace

std::optional<SiteScales> ScalesOf(const Graph& graph, std::string_view site, int64_t index,
                                   const float* values, int64_t rows, int64_t cols) {
  const bool inner = site.find(kInner) != std::string_view::npos;
  SiteScales s;
  std::tie(s.site, s.along) = inner ? Resolve(site) : std::pair(std::string(site), Along::kColumns);
  const Encoding* e = graph.FindEncoding(s.site);
  if (e == nullptr || !e->quantized()) return std::nullopt;
  if (site.ends_with(".ssd.local_state") && !PassesIntegers(graph, s.site)) return std::nullopt;
  s.codec = e->codec;
  s.source = e->source;
  if (s.source == ScaleSource::kPerToken) s.along = Along::kRows;
  s.scales.assign(Count(s.along, rows, cols), 0.0f);
  s.zeros.assign(s.scales.size(), 0);
  if (s.source == ScaleSource::kStatic) {
    SetStatic(*e, inner ? index : -1, &s);
  } else {
    SetFromValues(values, rows, cols, &s);
  }
  return s;
}

}  // namespace octet
