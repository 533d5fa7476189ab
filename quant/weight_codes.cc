#include "quant/weight_codes.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

constexpr int64_t kRowBlock = 64;  // rows of a task

}  // namespace

void ForEachRow(const Weight& w, ThreadPool* pool,
                const std::function<void(int64_t r, std::span<const float> row)>& visit) {
  const int64_t rows = w.rows();
  const auto columns = static_cast<size_t>(w.columns());
  std::vector<std::vector<float>> buffers(static_cast<size_t>(pool->threads()));
  pool->For(CeilDiv(rows, kRowBlock), [&](int64_t task, int worker) {
    std::vector<float>& row = buffers[static_cast<size_t>(worker)];
    row.resize(columns);
    const int64_t end = std::min(rows, (task + 1) * kRowBlock);
    for (int64_t r = task * kRowBlock; r < end; ++r) {
      RowToF32(w, r, row.data());
      visit(r, row);
    }
  });
}

Weight EncodeRowsInt8(const Weight& w, ThreadPool* pool) {
  assert(!w.quantized() && w.rows() > 0);
  const int64_t columns = w.columns();
  std::vector<std::byte> codes(static_cast<size_t>(w.count()));
  auto scales = std::make_shared<std::vector<float>>(static_cast<size_t>(w.rows()));
  ForEachRow(w, pool, [&](int64_t r, std::span<const float> row) {
    float peak = 0;
    for (const float v : row) {
      peak = std::max(peak, std::fabs(v));
    }
    const float scale = ScaleForAbsMax(peak);
    (*scales)[static_cast<size_t>(r)] = scale;
    std::ranges::transform(row, codes.begin() + r * columns, [scale](float v) {
      return static_cast<std::byte>(QuantizeI8(v, 1.0f / scale));
    });
  });
  Weight q = MakeWeight(DType::kI8, std::move(codes), w.shape);
  q.row_scale = std::move(scales);
  return q;
}

Weight EncodeRowsInt4(const Weight& w, int64_t group, const Int4RowEncoder& encode,
                      ThreadPool* pool) {
  assert(!w.quantized() && w.rows() > 0 && group > 0 && group % 32 == 0);
  const int64_t columns = w.columns(), groups = CeilDiv(columns, group);
  const int64_t row_bytes = BytesOf(DType::kI4, columns);
  std::vector<std::byte> packed(static_cast<size_t>(w.rows() * row_bytes));
  auto scales = std::make_shared<std::vector<float>>(static_cast<size_t>(w.rows()));
  auto multipliers = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(w.rows() * groups));
  ForEachRow(w, pool, [&](int64_t r, std::span<const float> row) {
    // The nibble that fills up an odd row holds the zero code.
    std::vector<uint8_t> codes(static_cast<size_t>(2 * row_bytes), uint8_t{8});
    const std::span<uint8_t> all(*multipliers);
    (*scales)[static_cast<size_t>(r)] =
        encode(row, all.subspan(static_cast<size_t>(r * groups), static_cast<size_t>(groups)),
               std::span(codes).first(row.size()));
    for (int64_t b = 0; b < row_bytes; ++b) {
      const auto at = static_cast<size_t>(2 * b);
      packed[static_cast<size_t>(r * row_bytes + b)] =
          static_cast<std::byte>(codes[at] | codes[at + 1] << 4);
    }
  });
  Weight q = MakeWeight(DType::kI4, std::move(packed), w.shape);
  q.row_scale = std::move(scales);
  q.group_scale = std::move(multipliers);
  q.group = group;
  return q;
}

}  // namespace octet
