#include "quant/state_scales.h"

#include <algorithm>
#include <utility>

#include "tensor/codecs/uniform.h"

namespace octet {

StateScales MakeStateScales(StateLayout layout, std::span<const float> peaks, int64_t rows,
                            int64_t N, std::vector<uint16_t> row_map) {
  StateScales scales;
  int64_t entries = layout == StateLayout::kTensor ? 1 : rows;
  if (layout == StateLayout::kCluster) {
    entries = *std::ranges::max_element(row_map) + 1;
    scales.columns = N;
    scales.row_map = std::move(row_map);
  }
  scales.values.assign(static_cast<size_t>(entries * scales.columns), 0.0f);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t begin = scales.Row(row) - scales.values.data();
    for (int64_t n = 0; n < N; ++n) {
      float& scale = scales.values[static_cast<size_t>(begin + (scales.columns > 1 ? n : 0))];
      scale = std::max(scale, peaks[static_cast<size_t>(row * N + n)]);
    }
  }
  for (float& scale : scales.values) {
    scale = ScaleForAbsMax(scale);
  }
  return scales;
}

}  // namespace octet
