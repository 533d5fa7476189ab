#include "exec/site_histogram.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "exec/site_scales.h"
#include "tensor/state_format.h"

namespace octet {
namespace {

constexpr int kMaxLevels = 512;
constexpr double kBeyond = 1.15;  // how far bins go past the outermost codes

void SetBins(double left, double right, SiteHistogram* h) {
  h->left = left;
  h->width = (right - left) / SiteHistogram::kBins;
  h->bins.assign(SiteHistogram::kBins, 0);
}

void Count(double position, SiteHistogram* h) {
  const double bin = std::floor((position - h->left) / h->width);
  ++h->bins[static_cast<size_t>(std::clamp(bin, 0.0, SiteHistogram::kBins - 1.0))];
}

void SeeValue(double value, SiteHistogram* h) {
  h->min = h->values == 0 ? value : std::min(h->min, value);
  h->max = h->values == 0 ? value : std::max(h->max, value);
  ++h->values;
}

void SeeScale(float scale, SiteGrid* grid) {
  grid->min_scale = grid->min_scale == 0 ? scale : std::min(grid->min_scale, scale);
  grid->max_scale = std::max(grid->max_scale, scale);
}

const char* SourceName(ScaleSource source) {
  switch (source) {
    case ScaleSource::kStatic:
      return "static";
    case ScaleSource::kPerToken:
      return "per token";
    case ScaleSource::kPerChunk:
      return "per chunk";
  }
  return "";
}

// Twice as wide, by joining neighbours around 0.
void Widen(SiteHistogram* h) {
  std::vector<int64_t> bins(SiteHistogram::kBins, 0);
  for (int i = 0; i < SiteHistogram::kBins; ++i) {
    bins[static_cast<size_t>(SiteHistogram::kBins / 4 + i / 2)] += h->bins[static_cast<size_t>(i)];
  }
  h->bins = std::move(bins);
  h->left *= 2;
  h->width *= 2;
}

SiteGrid GridOf(const SiteScales& s, const Encoding& e) {
  SiteGrid grid;
  grid.code = CodecName(s.codec);
  grid.scaling = SourceName(s.source);
  grid.scales = std::ssize(e.scales);
  const int zero = s.zeros.front();
  const ValueRange range = CodecRange(s.codec, 1.0f, zero);
  grid.low = range.low;
  grid.high = range.high;
  if (MaxCode(s.codec) - MinCode(s.codec) < kMaxLevels) {
    for (int code = MinCode(s.codec); code <= MaxCode(s.codec); ++code) {
      grid.levels.push_back(DecodeValue(s.codec, code, 1.0f, zero));
    }
    grid.used.assign(grid.levels.size(), false);
  }
  return grid;
}

SiteGrid GridOf(const StateFormat& format, int64_t scales) {
  SiteGrid grid;
  grid.code = ToText(format);
  grid.scaling = format.static_scales() ? "static" : "per row";
  grid.scales = scales;
  grid.high = format.max_code() + 0.5;
  grid.low = -grid.high;
  if (format.max_code() < kMaxLevels / 2) {
    for (float code = -format.max_code(); code <= format.max_code(); ++code) {
      grid.levels.push_back(code);
    }
  }
  return grid;
}

void StartGrid(SiteGrid grid, SiteHistogram* h) {
  if (h->grid) return;
  SetBins(kBeyond * grid.low, kBeyond * grid.high, h);
  h->grid = std::move(grid);
}

void AddFloats(const float* values, int64_t count, SiteHistogram* h) {
  if (h->bins.empty()) SetBins(-1.0 / 1024, 1.0 / 1024, h);
  for (int64_t i = 0; i < count; ++i) {
    const double value = values[i];
    if (!std::isfinite(value)) continue;
    SeeValue(value, h);
    while (std::fabs(value) >= -h->left) {
      Widen(h);
    }
    Count(value, h);
  }
}

// `lower`: only the values on and below the diagonal.
void AddCodes(const SiteScales& s, const Encoding& e, bool lower, const float* values, int64_t rows,
              int64_t cols, SiteHistogram* h) {
  StartGrid(GridOf(s, e), h);
  SiteGrid& grid = *h->grid;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < (lower ? r + 1 : cols); ++c) {
      const size_t i = s.Index(r, c);
      const float value = values[r * cols + c], scale = s.scales[i];
      if (!std::isfinite(value)) continue;
      const ValueRange range = CodecRange(s.codec, scale, s.zeros[i]);
      SeeScale(scale, &grid);
      SeeValue(static_cast<double>(value), h);
      h->saturated += value < range.low || value > range.high;
      if (!grid.used.empty()) {
        const int code = EncodeValue(s.codec, value, scale, s.zeros[i]);
        grid.used[static_cast<size_t>(code - MinCode(s.codec))] = true;
      }
      Count(static_cast<double>(value) / static_cast<double>(scale), h);
    }
  }
}

}  // namespace

void HistogramTap::AddState(int layer, const float* values, int64_t rows, int64_t cols,
                            SiteHistogram* h) const {
  const StateFormat& format = graph_.state;
  if (!format.dynamic_scales() && !format.static_scales()) {
    return AddFloats(values, rows * cols, h);
  }
  const StateScales* fixed = nullptr;
  if (format.static_scales()) fixed = &(*graph_.state_scales)[static_cast<size_t>(layer)];
  StartGrid(GridOf(format, fixed == nullptr ? 0 : std::ssize(fixed->values)), h);
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = values + r * cols;
    float peak = 0;
    for (int64_t c = 0; c < cols; ++c) {
      peak = std::max(peak, std::fabs(row[c]));
    }
    const float dynamic = peak > 0 ? peak / format.max_code() : 1.0f;
    for (int64_t c = 0; c < cols; ++c) {
      const float scale = fixed == nullptr      ? dynamic
                          : fixed->columns == 1 ? fixed->Row(r)[0]
                                                : fixed->Row(r)[c];
      const double position = static_cast<double>(row[c]) / static_cast<double>(scale);
      if (!std::isfinite(position)) continue;
      SeeScale(scale, &*h->grid);
      SeeValue(static_cast<double>(row[c]), h);
      h->saturated += position < h->grid->low || position > h->grid->high;
      Count(position, h);
    }
  }
}

void HistogramTap::At(std::string_view site, int64_t index, float* values, int64_t rows,
                      int64_t cols) {
  if (sites_.contains(site)) {
    SiteHistogram& h = seen_[std::string(site)];
    h.site = site;
    int layer = -1;
    while (layer + 1 < graph_.layers && StateSite(layer) != site) {
      ++layer;
    }
    if (const auto s = ScalesOf(graph_, site, index, values, rows, cols)) {
      AddCodes(*s, *graph_.FindEncoding(s->site), site.ends_with(".ssd.score"), values, rows, cols,
               &h);
    } else if (StateSite(layer) == site) {
      AddState(layer, values, rows, cols, &h);
    } else {
      AddFloats(values, rows * cols, &h);
    }
  }
  simulation_.At(site, index, values, rows, cols);
}

std::vector<NamedSite> NotableSites(const Graph& graph, int layer) {
  const Node* ssm = FindStateNode(graph, layer);
  if (ssm == nullptr) return {};
  std::vector<NamedSite> sites;
  const auto add = [&](const std::string& site, const char* name, const char* what) {
    sites.push_back({site, name, what, site.find(".ssd.") != site.npos});
  };
  const auto value = [&](ValueId v) { return graph.nodes[static_cast<size_t>(v)].site; };
  std::vector<ValueId> linears;
  const auto [begin, end] = graph.LayerRange(layer);
  for (ValueId v = begin; v < end; ++v) {
    if (graph.nodes[static_cast<size_t>(v)].op == Op::kLinear) linears.push_back(v);
  }
  const auto input = [&](ValueId v) { return value(graph.nodes[static_cast<size_t>(v)].in[0]); };
  if (!linears.empty()) add(input(linears.front()), "in_proj input", "enters the block");
  if (ssm->op == Op::kSsd || ssm->op == Op::kSelectiveScan) {
    add(value(ssm->in[0]), "x", "input of the state space model");
    add(value(ssm->in[2]), "B", "what the state takes in");
    add(value(ssm->in[3]), "C", "what is read from the state");
    add(value(ssm->in[1]), "dt", "step size");
  }
  if (ssm->op == Op::kSsd) {
    add(SsdInnerSite(layer, "x_scaled"), "ssd.x_scaled", "x times dt and decay, inside the SSD");
    add(SsdInnerSite(layer, "score"), "ssd.score", "C times B within a chunk");
    add(SsdInnerSite(layer, "state"), "ssd.state", "the state as the next chunk reads it");
  }
  add(StateSite(layer), "state", "recurrent state");
  if (linears.size() > 1) add(input(linears.back()), "out_proj input", "leaves the block");
  return sites;
}

}  // namespace octet
