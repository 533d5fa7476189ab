#include "exec/simulate.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/codec.h"

namespace octet {
namespace {

// Which scale of an inner site's encoding belongs to element (row, col) of the values shown.
enum class Axis : uint8_t { kIndex, kRow, kColumn };

struct InnerSite {
  std::string encoding;  // site whose encoding applies
  Axis axis;
};

InnerSite Resolve(std::string_view site) {
  const std::string name(site);
  if (site.ends_with(".ssd.x_scaled")) return {name, Axis::kColumn};
  if (site.ends_with(".ssd.score")) return {name, Axis::kIndex};
  if (site.ends_with(".ssd.local_state")) {
    return {name.substr(0, name.size() - std::string_view("local_state").size()) + "state",
            Axis::kRow};
  }
  return {name, Axis::kRow};
}

size_t AxisSize(Axis axis, int64_t rows, int64_t cols) {
  return static_cast<size_t>(axis == Axis::kIndex ? 1 : axis == Axis::kRow ? rows : cols);
}

// The scales of the values shown. `index`: the head or group, -1 for a node site.
std::vector<float> StaticScales(const Encoding& e, Axis axis, int64_t index, int64_t rows,
                                int64_t cols) {
  const size_t n = AxisSize(axis, rows, cols);
  std::vector<float> scales(n);
  for (size_t i = 0; i < n; ++i) {
    const size_t at = index < 0 ? i * e.scales.size() / n : static_cast<size_t>(index) * n + i;
    scales[i] = e.scales[at];
  }
  return scales;
}

std::vector<float> ChunkScales(Codec codec, Axis axis, const float* values, int64_t rows,
                               int64_t cols) {
  std::vector<float> scales(AxisSize(axis, rows, cols), 0.0f);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      float& peak = scales[static_cast<size_t>(axis == Axis::kIndex ? 0
                                               : axis == Axis::kRow ? r
                                                                    : c)];
      peak = std::max(peak, std::fabs(values[r * cols + c]));
    }
  }
  for (float& s : scales) {
    s = FitCodec(codec, {-s, s}).scale;
  }
  return scales;
}

// decode(encode(value)) in place, in a codec without zeros; counts saturated values when asked to.
void Quantize(Codec codec, const std::vector<float>& scales, Axis axis, float* values, int64_t rows,
              int64_t cols, Saturation* count) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      const float scale = scales[static_cast<size_t>(axis == Axis::kIndex ? 0
                                                     : axis == Axis::kRow ? r
                                                                          : c)];
      float& value = values[r * cols + c];
      if (count != nullptr) count->saturated += std::fabs(value) > CodecRange(codec, scale, 0).high;
      value = FakeQuantize(codec, value, scale, 0);
    }
  }
  if (count != nullptr) count->values += rows * cols;
}

// The same of a node site, for codes other than int8, which may have zeros.
void FakeQuantizeRows(const Encoding& e, float* values, int64_t rows, int64_t cols,
                      Saturation* count) {
  const auto scales = static_cast<int64_t>(e.scales.size());
  for (int64_t c = 0; c < cols; ++c) {
    const auto at = static_cast<size_t>(c * scales / cols);
    const int zero = e.zeros.empty() ? 0 : e.zeros[at];
    const ValueRange range = CodecRange(e.codec, e.scales[at], zero);
    for (int64_t r = 0; r < rows; ++r) {
      float& value = values[r * cols + c];
      count->saturated += value < range.low || value > range.high;
      value = FakeQuantize(e.codec, value, e.scales[at], zero);
    }
  }
  count->values += rows * cols;
}

}  // namespace

void SimulationTap::At(std::string_view site, int64_t index, float* values, int64_t rows,
                       int64_t cols) {
  const bool inner = site.find(".ssd.") != std::string_view::npos;
  const InnerSite resolved = inner ? Resolve(site) : InnerSite{std::string(site), Axis::kColumn};
  const Encoding* e = graph_.FindEncoding(resolved.encoding);
  if (e == nullptr || !e->quantized()) return;
  if (site.ends_with(".ssd.local_state") && !PassesIntegers(resolved.encoding)) return;
  if (e->codec != Codec::kUniform && !inner) {
    return FakeQuantizeRows(*e, values, rows, cols, &saturation_[resolved.encoding]);
  }
  std::vector<float> scales;  // one per element of the axis, in the order of the values shown
  switch (e->source) {
    case ScaleSource::kStatic:
      scales = StaticScales(*e, resolved.axis, inner ? index : -1, rows, cols);
      break;
    case ScaleSource::kPerToken:
      Quantize(e->codec, ChunkScales(e->codec, Axis::kRow, values, rows, cols), Axis::kRow, values,
               rows, cols, nullptr);
      return;
    case ScaleSource::kPerChunk:
      scales = ChunkScales(e->codec, resolved.axis, values, rows, cols);
      break;
  }
  Quantize(e->codec, scales, resolved.axis, values, rows, cols, &saturation_[resolved.encoding]);
}

// Only the paper's integer state passing rounds the local state.
bool SimulationTap::PassesIntegers(std::string_view state_site) const {
  const std::string y = std::string(state_site.substr(0, state_site.find(".ssd."))) + ".y";
  const ValueId v = graph_.FindSite(y);
  return v >= 0 && graph_.nodes[static_cast<size_t>(v)].ssd.gate_q7;
}

}  // namespace octet
