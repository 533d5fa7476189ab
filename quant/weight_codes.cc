#include "quant/weight_codes.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <memory>
#include <numeric>
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

Weight EncodeInt8(const Weight& w, std::span<const int64_t> ends, ThreadPool* pool) {
  assert(!w.quantized() && !ends.empty() && ends.back() == w.rows());
  const int64_t columns = w.columns();
  std::vector<float> row_scales(static_cast<size_t>(w.rows()));  // first the rows' peaks
  ForEachRow(w, pool, [&](int64_t r, std::span<const float> row) {
    float& peak = row_scales[static_cast<size_t>(r)];
    for (const float v : row) {
      peak = std::max(peak, std::fabs(v));
    }
  });
  auto first = row_scales.begin();
  for (const int64_t end : ends) {
    const auto last = row_scales.begin() + end;
    std::fill(first, last, ScaleForAbsMax(*std::max_element(first, last)));
    first = last;
  }
  std::vector<std::byte> codes(static_cast<size_t>(w.count()));
  ForEachRow(w, pool, [&](int64_t r, std::span<const float> row) {
    const float inverse = 1.0f / row_scales[static_cast<size_t>(r)];
    std::ranges::transform(row, codes.begin() + r * columns, [inverse](float v) {
      return static_cast<std::byte>(QuantizeI8(v, inverse));
    });
  });
  Weight q = MakeWeight(DType::kI8, std::move(codes), w.shape);
  if (ends.size() == 1) row_scales.resize(1);
  q.row_scale = std::make_shared<const std::vector<float>>(std::move(row_scales));
  return q;
}

Weight EncodeRowsInt8(const Weight& w, ThreadPool* pool) {
  std::vector<int64_t> ends(static_cast<size_t>(w.rows()));
  std::iota(ends.begin(), ends.end(), 1);
  return EncodeInt8(w, ends, pool);
}

}  // namespace octet
