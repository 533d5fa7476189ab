#include "quant/cholesky.h"

#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "quant/product.h"

namespace octet {
namespace {

constexpr int64_t kBlock = 128;
constexpr int64_t kTile = 256;

// A row-major matrix [n, n].
struct Square {
  float* data;
  int64_t n;
  float* At(int64_t r, int64_t c) const { return data + r * n + c; }
};

// [rows, cols], contiguous, of a matrix whose rows lie `stride` apart.
std::vector<float> Copy(const float* from, int64_t stride, int64_t rows, int64_t cols) {
  std::vector<float> out(static_cast<size_t>(rows * cols));
  for (int64_t r = 0; r < rows; ++r) {
    std::copy_n(from + r * stride, cols, out.data() + r * cols);
  }
  return out;
}

// Factors the diagonal block at k in place; false when a pivot is not positive.
bool FactorDiagonal(const Square& a, int64_t k, int64_t size) {
  std::vector<double> l(static_cast<size_t>(size * size));
  const auto at = [&](int64_t r, int64_t c) { return static_cast<size_t>(r * size + c); };
  for (int64_t r = 0; r < size; ++r) {
    for (int64_t c = 0; c <= r; ++c) {
      double sum = static_cast<double>(*a.At(k + r, k + c));
      for (int64_t t = 0; t < c; ++t) {
        sum -= l[at(r, t)] * l[at(c, t)];
      }
      if (r == c && !(sum > 0 && std::isfinite(sum))) return false;
      l[at(r, c)] = r == c ? std::sqrt(sum) : sum / l[at(c, c)];
      *a.At(k + r, k + c) = static_cast<float>(l[at(r, c)]);
    }
  }
  return true;
}

// The inverse of the lower triangular diagonal block at k, [size, size].
std::vector<float> InvertDiagonal(const Square& l, int64_t k, int64_t size) {
  std::vector<double> inverse(static_cast<size_t>(size * size), 0.0);
  for (int64_t r = 0; r < size; ++r) {
    double* row = inverse.data() + r * size;
    row[r] = 1;
    for (int64_t t = 0; t < r; ++t) {
      const auto factor = static_cast<double>(*l.At(k + r, k + t));
      for (int64_t c = 0; c <= t; ++c) {
        row[c] -= factor * inverse[static_cast<size_t>(t * size + c)];
      }
    }
    for (int64_t c = 0; c <= r; ++c) {
      row[c] /= static_cast<double>(*l.At(k + r, k + r));
    }
  }
  return {inverse.begin(), inverse.end()};
}

// The lower triangle of `a` becomes its Cholesky factor, block column by block column.
bool Factor(const Square& a, ThreadPool* pool) {
  for (int64_t k = 0; k < a.n; k += kBlock) {
    const int64_t size = std::min(kBlock, a.n - k), below = k + size, rest = a.n - below;
    if (!FactorDiagonal(a, k, size)) return false;
    const std::vector<float> inverse = InvertDiagonal(a, k, size);
    const int64_t tiles = CeilDiv(rest, kTile);
    const auto height = [&](int64_t tile) { return std::min(kTile, rest - tile * kTile); };
    std::vector<float> panel(static_cast<size_t>(rest * size));
    pool->For(tiles, [&](int64_t i, int) {
      const int64_t row = below + i * kTile;
      float* out = panel.data() + i * kTile * size;
      MultiplyTransposed(Copy(a.At(row, k), a.n, height(i), size).data(), height(i), inverse.data(),
                         size, size, out);
      for (int64_t r = 0; r < height(i); ++r) {
        std::copy_n(out + r * size, size, a.At(row + r, k));
      }
    });
    pool->For(tiles * tiles, [&](int64_t task, int) {
      const int64_t i = task / tiles, j = task % tiles;
      if (j > i) return;
      std::vector<float> product(static_cast<size_t>(height(i) * height(j)));
      MultiplyTransposed(panel.data() + i * kTile * size, height(i),
                         panel.data() + j * kTile * size, height(j), size, product.data());
      for (int64_t r = 0; r < height(i); ++r) {
        float* row = a.At(below + i * kTile + r, below + j * kTile);
        for (int64_t c = 0; c < height(j); ++c) {
          row[c] -= product[static_cast<size_t>(r * height(j) + c)];
        }
      }
    });
  }
  return true;
}

// Replaces the lower triangular `l` by its inverse M, block row by block row:
// M_ii = L_ii^-1, M_ij = -M_ii sum_{j <= k < i} L_ik M_kj.
void InvertLower(const Square& l, ThreadPool* pool) {
  for (int64_t i = 0; i < l.n; i += kBlock) {
    const int64_t size = std::min(kBlock, l.n - i);
    std::vector<float> diagonal = InvertDiagonal(l, i, size);
    const std::vector<float> row = Copy(l.At(i, 0), l.n, size, i);
    for (int64_t r = 0; r < size; ++r) {
      std::copy_n(diagonal.data() + r * size, r + 1, l.At(i + r, i));
    }
    for (float& v : diagonal) {
      v = -v;
    }
    pool->For(CeilDiv(i, kTile), [&](int64_t tile, int) {
      const int64_t j = tile * kTile, width = std::min(kTile, i - j), depth = i - j;
      std::vector<float> columns(static_cast<size_t>(width * depth));
      Transpose(l.At(j, j), depth, width, l.n, columns.data());
      std::vector<float> sum(static_cast<size_t>(width * size));  // transposed
      MultiplyTransposed(columns.data(), width, Copy(row.data() + j, i, size, depth).data(), size,
                         depth, sum.data());
      std::vector<float> out(static_cast<size_t>(size * width));
      MultiplyTransposed(diagonal.data(), size, sum.data(), width, size, out.data());
      for (int64_t r = 0; r < size; ++r) {
        std::copy_n(out.data() + r * width, width, l.At(i + r, j));
      }
    });
  }
}

}  // namespace

bool InverseCholesky(int64_t n, std::vector<float>* h, ThreadPool* pool) {
  // Reversing all n * n numbers reverses both the rows and the columns.
  std::ranges::reverse(*h);
  const Square a{h->data(), n};
  if (!Factor(a, pool)) return false;
  for (int64_t r = 0; r < n; ++r) {
    std::fill(a.At(r, r) + 1, a.At(r, 0) + n, 0.0f);
  }
  InvertLower(a, pool);
  std::ranges::reverse(*h);
  return true;
}

}  // namespace octet
