#include "quant/hessian.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/checked.h"
#include "quant/product.h"

namespace octet {
namespace {

constexpr int64_t kRows = 256;  // added at a time; fixed, since it decides the order of the sums
constexpr int64_t kTile = 256;

}  // namespace

Hessian::Hessian(int64_t columns)
    : columns_(columns), sums_(static_cast<size_t>(columns * columns), 0.0f) {
  pending_.reserve(static_cast<size_t>(kRows * columns));
}

Result<Hessian> Hessian::Create(int64_t columns) {
  if (columns < 1 || columns > kMaxColumns) {
    return InvalidArgument(fmt::format("a Hessian of {} columns; at least 1 and at most {} work",
                                       columns, kMaxColumns));
  }
  return Hessian(columns);
}

void Hessian::Add(const float* x, int64_t rows, ThreadPool* pool) {
  rows_ += rows;
  while (rows > 0) {
    const int64_t held = static_cast<int64_t>(pending_.size()) / columns_;
    const int64_t taken = std::min(rows, kRows - held);
    pending_.insert(pending_.end(), x, x + taken * columns_);
    x += taken * columns_;
    rows -= taken;
    if (held + taken < kRows) return;
    AddPending(&sums_, pool);
    pending_.clear();
  }
}

void Hessian::AddPending(std::vector<float>* sums, ThreadPool* pool) const {
  const int64_t n = static_cast<int64_t>(pending_.size()) / columns_;
  if (n == 0) return;
  const int64_t tiles = CeilDiv(columns_, kTile);
  const auto width = [&](int64_t tile) { return std::min(kTile, columns_ - tile * kTile); };
  std::vector<float> transposed(pending_.size());  // [columns, n]
  pool->For(tiles, [&](int64_t i, int) {
    Transpose(pending_.data() + i * kTile, n, width(i), columns_,
              transposed.data() + i * kTile * n);
  });
  pool->For(tiles * tiles, [&](int64_t task, int) {
    const int64_t i = task / tiles, j = task % tiles;
    if (j > i) return;
    std::vector<float> product(static_cast<size_t>(width(i) * width(j)));
    MultiplyTransposed(transposed.data() + i * kTile * n, width(i),
                       transposed.data() + j * kTile * n, width(j), n, product.data());
    for (int64_t r = 0; r < width(i); ++r) {
      float* row = sums->data() + (i * kTile + r) * columns_ + j * kTile;
      for (int64_t c = 0; c < width(j); ++c) {
        row[c] += product[static_cast<size_t>(r * width(j) + c)];
      }
    }
  });
}

Result<std::vector<float>> Hessian::Matrix(ThreadPool* pool) const {
  if (rows_ == 0) return InvalidArgument("no inputs were added to the Hessian");
  std::vector<float> h = sums_;
  AddPending(&h, pool);
  const auto at = [&](int64_t r, int64_t c) { return static_cast<size_t>(r * columns_ + c); };
  const float factor = 2.0f / static_cast<float>(rows_);
  for (int64_t j = 0; j < columns_; ++j) {
    if (!std::isfinite(h[at(j, j)])) {
      return Corrupt(fmt::format("the inputs of column {} are not finite or too large", j));
    }
  }
  pool->For(CeilDiv(columns_, kTile), [&](int64_t tile, int) {
    for (int64_t r = tile * kTile; r < std::min(columns_, (tile + 1) * kTile); ++r) {
      for (int64_t c = 0; c <= r; ++c) {
        h[at(c, r)] = h[at(r, c)] *= factor;
      }
    }
  });
  return h;
}

}  // namespace octet
