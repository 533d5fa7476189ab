#include "exec/simulate.h"

#include <algorithm>
#include <cmath>

#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

// Which scale of an inner site's encoding belongs to element (row, col) of the values shown.
enum class Axis : uint8_t { kIndex, kRow, kColumn };

struct InnerSite {
  std::string encoding;  // site whose encoding applies
  Axis axis;
};

bool EndsWith(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

InnerSite Resolve(std::string_view site) {
  const std::string name(site);
  if (EndsWith(site, ".ssd.x_scaled")) return {name, Axis::kColumn};
  if (EndsWith(site, ".ssd.score")) return {name, Axis::kIndex};
  if (EndsWith(site, ".ssd.local_state")) {
    return {name.substr(0, name.size() - std::string_view("local_state").size()) + "state",
            Axis::kRow};
  }
  return {name, Axis::kRow};
}

}  // namespace

void SimulationTap::At(std::string_view site, int64_t index, float* values, int64_t rows,
                       int64_t cols) {
  const bool inner = site.find(".ssd.") != std::string_view::npos;
  const InnerSite resolved = inner ? Resolve(site) : InnerSite{std::string(site), Axis::kColumn};
  const Encoding* e = graph_.FindEncoding(resolved.encoding);
  if (e == nullptr || !e->quantized()) return;
  // Only the paper's integer state passing rounds the local state.
  if (EndsWith(site, ".ssd.local_state")) {
    const std::string layer_y = resolved.encoding.substr(0, resolved.encoding.find(".ssd.")) + ".y";
    const ValueId y = graph_.FindSite(layer_y);
    if (y < 0 || !graph_.nodes[static_cast<size_t>(y)].ssd.gate_q7) return;
  }
  Saturation& count = saturation_[resolved.encoding];
  count.values += rows * cols;
  const auto scales = static_cast<int64_t>(e->scales.size());
  for (int64_t r = 0; r < rows; ++r) {
    float* row = values + r * cols;
    float row_scale = 0;
    if (e->source == ScaleSource::kPerToken) {
      float absmax = 0;
      for (int64_t c = 0; c < cols; ++c) {
        absmax = std::max(absmax, std::fabs(row[c]));
      }
      row_scale = ScaleForAbsMax(absmax);
    }
    for (int64_t c = 0; c < cols; ++c) {
      float scale = row_scale;
      if (e->source == ScaleSource::kStatic) {
        int64_t at = 0;
        if (!inner) {
          at = c * scales / cols;
        } else if (resolved.axis == Axis::kIndex) {
          at = index;
        } else {
          at = resolved.axis == Axis::kRow ? index * rows + r : index * cols + c;
        }
        scale = e->scales[static_cast<size_t>(at)];
      }
      count.saturated += std::fabs(row[c]) > 127.5f * scale;
      row[c] = FakeQuantizeI8(row[c], scale);
    }
  }
}

}  // namespace octet
