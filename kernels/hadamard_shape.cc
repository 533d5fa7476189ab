#include "kernels/hadamard_shape.h"

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace octet {
namespace {

// Square matrices of -1, 0 and +1.
struct Signs {
  explicit Signs(int64_t order) : n(order), v(static_cast<size_t>(order * order), 0) {}
  int8_t& At(int64_t i, int64_t j) { return v[static_cast<size_t>(i * n + j)]; }
  int8_t At(int64_t i, int64_t j) const { return v[static_cast<size_t>(i * n + j)]; }
  int64_t n;
  std::vector<int8_t> v;
};

// S = [[0, 1], [corner, J]] of order q + 1, J_ij = chi(i - j) with the quadratic character mod q.
Signs Paley(int64_t q, int8_t corner) {
  std::vector<int8_t> chi(static_cast<size_t>(q), -1);
  chi[0] = 0;
  for (int64_t i = 1; i < q; ++i) {
    chi[static_cast<size_t>(i * i % q)] = 1;
  }
  Signs s(q + 1);
  for (int64_t i = 1; i <= q; ++i) {
    s.At(0, i) = 1;
    s.At(i, 0) = corner;
    for (int64_t j = 1; j <= q; ++j) {
      s.At(i, j) = chi[static_cast<size_t>((i - j + q) % q)];
    }
  }
  return s;
}

// a (x) [[p00, p01], [p10, p11]], added to `sum`.
void AddKronecker2(const Signs& a, const int8_t (&p)[2][2], Signs* sum) {
  for (int64_t i = 0; i < 2 * a.n; ++i) {
    for (int64_t j = 0; j < 2 * a.n; ++j) {
      sum->At(i, j) = static_cast<int8_t>(sum->At(i, j) + a.At(i / 2, j / 2) * p[i % 2][j % 2]);
    }
  }
}

Signs Identity(int64_t n) {
  Signs s(n);
  for (int64_t i = 0; i < n; ++i) {
    s.At(i, i) = 1;
  }
  return s;
}

// Order q + 1 for a prime q = 3 mod 4. Not symmetric.
Signs PaleyI(int64_t q) {
  Signs h = Paley(q, -1);
  for (int64_t i = 0; i < h.n; ++i) {
    h.At(i, i) = 1;
  }
  return h;
}

// Order 2 (q + 1) for a prime q = 1 mod 4.
Signs PaleyII(int64_t q) {
  Signs h(2 * (q + 1));
  AddKronecker2(Paley(q, 1), {{1, 1}, {1, -1}}, &h);
  AddKronecker2(Identity(q + 1), {{1, -1}, {-1, -1}}, &h);
  return h;
}

// H_2 (x) h.
Signs Doubled(const Signs& h) {
  Signs d(2 * h.n);
  for (int64_t i = 0; i < d.n; ++i) {
    for (int64_t j = 0; j < d.n; ++j) {
      const bool negative = i >= h.n && j >= h.n;
      const int8_t value = h.At(i % h.n, j % h.n);
      d.At(i, j) = static_cast<int8_t>(negative ? -value : value);
    }
  }
  return d;
}

struct Construction {
  const char* id;
  bool automatic;
  Signs factor;
};

const std::vector<Construction>& Constructions() {
  static const std::vector<Construction>* all = new std::vector<Construction>{
      {"sylvester", true, Signs(1)},
      {"paley1-12", true, PaleyI(11)},
      {"paley1-20", true, PaleyI(19)},
      {"paley2-28", true, PaleyII(13)},
      {"paley2-36", true, PaleyII(17)},
      // As 20 * 2^(m + 1) the same order costs half the additions, so it is never chosen, only
      // read.
      {"paley1-20x2", false, Doubled(PaleyI(19))},
  };
  return *all;
}

bool IsPowerOfTwo(int64_t n) {
  return std::has_single_bit(static_cast<uint64_t>(n));
}

bool Fits(int64_t n, const Construction& c) {
  return n % c.factor.n == 0 && IsPowerOfTwo(n / c.factor.n);
}

HadamardShape Make(int64_t n, int64_t blocks, const Signs& factor) {
  HadamardShape s;
  s.n = n;
  s.blocks = blocks;
  s.k = factor.n;
  s.m = std::countr_zero(static_cast<uint64_t>(n / blocks / factor.n));
  s.factor = factor.n == 1 ? nullptr : factor.v.data();
  return s;
}

HadamardShape MakeBlock(int64_t n) {
  const int64_t piece = int64_t{1} << std::countr_zero(static_cast<uint64_t>(n));
  return Make(n, n / piece, Constructions().front().factor);
}

void Butterflies(double* v, int64_t n) {
  for (int64_t stride = 1; stride < n; stride *= 2) {
    for (int64_t i = 0; i < n; i += 2 * stride) {
      for (int64_t j = i; j < i + stride; ++j) {
        const double a = v[j];
        v[j] = a + v[j + stride];
        v[j + stride] = a - v[j + stride];
      }
    }
  }
}

// The factor, or its transpose, along the slow axis of one piece [k, width].
void ApplyFactor(const HadamardShape& s, bool transpose, double* piece) {
  const int64_t width = int64_t{1} << s.m;
  std::vector<double> column(static_cast<size_t>(s.k));
  for (int64_t c = 0; c < width; ++c) {
    for (int64_t j = 0; j < s.k; ++j) {
      column[static_cast<size_t>(j)] = piece[j * width + c];
    }
    for (int64_t i = 0; i < s.k; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < s.k; ++j) {
        sum += s.factor[transpose ? j * s.k + i : i * s.k + j] * column[static_cast<size_t>(j)];
      }
      piece[i * width + c] = sum;
    }
  }
}

void Transform(const HadamardShape& s, bool transpose, double* rows, int64_t n_rows) {
  const int64_t width = int64_t{1} << s.m;
  const int64_t size = s.k * width;
  const double scale = 1.0 / std::sqrt(static_cast<double>(size));
  for (int64_t p = 0; p < n_rows * s.blocks; ++p) {
    double* piece = rows + p * size;
    for (int64_t r = 0; r < s.k; ++r) {
      Butterflies(piece + r * width, width);
    }
    if (s.k > 1) ApplyFactor(s, transpose, piece);
    for (int64_t i = 0; i < size; ++i) {
      piece[i] *= scale;
    }
  }
}

}  // namespace

Result<HadamardShape> MakeHadamardShape(int64_t n, std::string_view kind) {
  if (n < 1) {
    return InvalidArgument("a Hadamard transform of " + std::to_string(n) + " channels");
  }
  if (kind == "block") return MakeBlock(n);
  for (const Construction& c : Constructions()) {
    if (kind == "auto" && c.automatic && Fits(n, c)) return Make(n, 1, c.factor);
    if (kind != c.id) continue;
    if (Fits(n, c)) return Make(n, 1, c.factor);
    return InvalidArgument("the Hadamard construction " + std::string(kind) + " has no order " +
                           std::to_string(n));
  }
  if (kind == "auto") return MakeBlock(n);
  return InvalidArgument("there is no Hadamard construction named \"" + std::string(kind) + "\"");
}

std::string HadamardId(const HadamardShape& shape) {
  if (shape.blocks > 1) return "block";
  for (const Construction& c : Constructions()) {
    if (c.factor.n == shape.k) return c.id;
  }
  return "";
}

void HadamardRowsF64(const HadamardShape& shape, double* rows, int64_t n_rows) {
  Transform(shape, false, rows, n_rows);
}

void HadamardTransposeRowsF64(const HadamardShape& shape, double* rows, int64_t n_rows) {
  Transform(shape, true, rows, n_rows);
}

}  // namespace octet
