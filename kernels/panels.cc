#include "kernels/panels.h"

#include <cstring>

#include "base/checked.h"

namespace octet {
namespace {

// Byte of code k of row r within a panel of kI8.
int64_t ByteI8(int64_t r, int64_t k) {
  return (k / 4 * kPanelRows + r) * 4 + k % 4;
}

// Byte that holds code k of row r within a panel of kI4, in the nibble k % 8 / 4.
int64_t ByteI4(int64_t r, int64_t k) {
  return (k / 8 * kPanelRows + r) * 4 + k % 4;
}

void PackRowI8(const int8_t* row, int64_t K, int64_t r, uint8_t* panel) {
  int64_t k = 0;
  for (; k + 4 <= K; k += 4) {
    uint32_t four = 0;
    std::memcpy(&four, row + k, 4);
    four ^= 0x80808080u;  // adds 128 to each
    std::memcpy(panel + ByteI8(r, k), &four, 4);
  }
  for (; k < K; ++k) {
    panel[ByteI8(r, k)] = static_cast<uint8_t>(row[k] + 128);
  }
}

void PackRowI4(const uint8_t* row, int64_t K, int64_t r, uint8_t* panel) {
  int64_t k = 0;
  for (; k + 8 <= K; k += 8) {
    const uint8_t* b = row + k / 2;
    uint8_t* out = panel + ByteI4(r, k);
    out[0] = static_cast<uint8_t>((b[0] & 15) | (b[2] & 15) << 4);
    out[1] = static_cast<uint8_t>(b[0] >> 4 | (b[2] & 0xf0));
    out[2] = static_cast<uint8_t>((b[1] & 15) | (b[3] & 15) << 4);
    out[3] = static_cast<uint8_t>(b[1] >> 4 | (b[3] & 0xf0));
  }
  for (; k < K; ++k) {
    const int code = k % 2 == 0 ? row[k / 2] & 15 : row[k / 2] >> 4;
    const int shift = static_cast<int>(k % 8 / 4 * 4);
    uint8_t& byte = panel[ByteI4(r, k)];
    byte = static_cast<uint8_t>((byte & ~(15 << shift)) | code << shift);
  }
}

}  // namespace

PanelShape PanelShape::Of(DType dtype, int64_t N, int64_t K, int64_t group) {
  PanelShape s{};
  s.dtype = dtype;
  s.N = N;
  s.K = K;
  s.group = group;
  s.panels = CeilDiv(N, kPanelRows);
  s.columns = CeilDiv(K, kPanelColumns) * kPanelColumns;
  s.panel_bytes = BytesOf(dtype, kPanelRows * s.columns);
  s.groups = dtype == DType::kI4 ? CeilDiv(K, group) : 0;
  s.bytes = s.panels * (s.panel_bytes + s.groups * kPanelRows);
  return s;
}

void PackPanels(const PanelShape& shape, const WeightView& rows, int64_t begin, int64_t end,
                uint8_t* panels) {
  const int64_t row_bytes = BytesOf(shape.dtype, shape.K);
  const auto* data = static_cast<const uint8_t*>(rows.data);
  const bool i8 = shape.dtype == DType::kI8;
  uint8_t* multipliers = panels + shape.multipliers_offset();
  const int64_t of_panel = shape.groups * kPanelRows;
  std::memset(multipliers + begin * of_panel, 1, static_cast<size_t>((end - begin) * of_panel));
  for (int64_t p = begin; p < end; ++p) {
    uint8_t* panel = panels + p * shape.panel_bytes;
    std::memset(panel, i8 ? 0x80 : 0x88, static_cast<size_t>(shape.panel_bytes));
    for (int64_t r = 0; r < kPanelRows && p * kPanelRows + r < shape.N; ++r) {
      const int64_t n = p * kPanelRows + r;
      if (i8) {
        PackRowI8(reinterpret_cast<const int8_t*>(data) + n * row_bytes, shape.K, r, panel);
        continue;
      }
      PackRowI4(data + n * row_bytes, shape.K, r, panel);
      for (int64_t g = 0; g < shape.groups; ++g) {
        multipliers[(p * shape.groups + g) * kPanelRows + r] =
            rows.group_scale[n * shape.groups + g];
      }
    }
  }
}

int CodeInPanels(const PanelShape& shape, const uint8_t* panels, int64_t n, int64_t k) {
  const uint8_t* panel = panels + n / kPanelRows * shape.panel_bytes;
  const int64_t r = n % kPanelRows;
  if (shape.dtype == DType::kI8) return panel[ByteI8(r, k)] - 128;
  const uint8_t byte = panel[ByteI4(r, k)];
  return (k % 8 < 4 ? byte & 15 : byte >> 4) - 8;
}

}  // namespace octet
