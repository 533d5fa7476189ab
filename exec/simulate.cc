#include "exec/simulate.h"

#include <vector>

#include "exec/site_scales.h"
#include "tensor/codec.h"

namespace octet {

void SimulationTap::At(std::string_view site, int64_t index, float* values, int64_t rows,
                       int64_t cols) {
  const std::optional<SiteScales> s = ScalesOf(graph_, site, index, values, rows, cols);
  if (!s) return;
  std::vector<ValueRange> ranges;
  for (size_t i = 0; i < s->scales.size(); ++i) {
    ranges.push_back(CodecRange(s->codec, s->scales[i], s->zeros[i]));
  }
  int64_t saturated = 0;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      const size_t i = s->Index(r, c);
      float& value = values[r * cols + c];
      saturated += value < ranges[i].low || value > ranges[i].high;
      value = FakeQuantize(s->codec, value, s->scales[i], s->zeros[i]);
    }
  }
  if (s->source == ScaleSource::kPerToken) return;  // nothing is beyond such a scale
  Saturation& count = saturation_[s->site];
  count.values += rows * cols;
  count.saturated += saturated;
}

}  // namespace octet
