#include "quant/gptq.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/checked.h"
#include "quant/cholesky.h"
#include "quant/product.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

constexpr int64_t kBlock = 128;     // columns between corrections of all columns that follow
constexpr int64_t kRowTile = 64;    // rows of one task
constexpr int64_t kWideTile = 512;  // columns of one product
constexpr int kAttempts = 4;
constexpr float kHeadroom = 2.0f;

Status Check(const Weight& w, const Hessian& h, const GptqOptions& options) {
  if (w.quantized()) return InvalidArgument("the weight is quantized already");
  if (w.shape.size() != 2 || w.columns() != h.columns()) {
    return InvalidArgument(
        fmt::format("the weight has {} columns, its inputs {}", w.columns(), h.columns()));
  }
  if (options.group < 32 || options.group % 32 != 0) {
    return InvalidArgument("option group must be a multiple of 32");
  }
  if (!(options.damping >= 0 && options.damping <= 1)) {
    return InvalidArgument("option damping must be between 0 and 1");
  }
  return {};
}

// The matrix of `h` prepared for its factorization, and which columns were always zero.
struct Prepared {
  std::vector<float> h;
  std::vector<bool> dead;
  double mean = 0;  // of the diagonal, over the other columns
};

Result<Prepared> Prepare(const Hessian& hessian, ThreadPool* pool) {
  const int64_t n = hessian.columns();
  Prepared p;
  OCTET_ASSIGN(p.h, hessian.Matrix(pool));
  p.dead.resize(static_cast<size_t>(n));
  double sum = 0;
  int64_t alive = 0;
  for (int64_t j = 0; j < n; ++j) {
    const float v = p.h[static_cast<size_t>(j * (n + 1))];
    p.dead[static_cast<size_t>(j)] = v == 0;
    sum += static_cast<double>(v);
    alive += v == 0 ? 0 : 1;
  }
  p.mean = alive == 0 ? 1 : sum / static_cast<double>(alive);
  // Any positive number would do, since the column's other entries are zero; the mean keeps the
  // damping independent of the inputs' unit.
  for (int64_t j = 0; j < n; ++j) {
    if (p.dead[static_cast<size_t>(j)]) {
      p.h[static_cast<size_t>(j * (n + 1))] = static_cast<float>(p.mean);
    }
  }
  return p;
}

// U of the damped Hessian in place of the Hessian.
Status Factorize(const Hessian& hessian, double damping, Prepared* p, ThreadPool* pool) {
  const int64_t n = hessian.columns();
  for (int attempt = 0; attempt < kAttempts; ++attempt, damping *= 10) {
    if (attempt > 0) {
      OCTET_ASSIGN(*p, Prepare(hessian, pool));
    }
    for (int64_t j = 0; j < n; ++j) {
      p->h[static_cast<size_t>(j * (n + 1))] += static_cast<float>(damping * p->mean);
    }
    if (InverseCholesky(n, &p->h, pool)) return {};
  }
  return InvalidArgument(
      fmt::format("the Hessian of {} inputs and {} columns is not positive definite, even with the "
                  "damping {}; use more inputs or option damping",
                  hessian.rows(), n, damping / 10));
}

// Runs the columns of `w` [rows, n] through `grid`, which has BeginRow(r, row), BeginGroup(r, c,
// values), Encode(r, c, value) and group(), 0 for none.
template <class Grid>
class Corrector {
 public:
  Corrector(std::vector<float> w, int64_t rows, const Prepared& p, Grid* grid)
      : w_(std::move(w)),
        rows_(rows),
        n_(static_cast<int64_t>(p.dead.size())),
        u_(p.h),
        dead_(p.dead),
        grid_(*grid) {}

  void Run(ThreadPool* pool) {
    // A multiplier is chosen from columns that are all corrected up to its group. Columns beyond a
    // block are corrected at the block's end, so no group that starts inside one may cross it.
    const int64_t group = grid_.group() == 0 ? 1 : grid_.group();
    const int64_t block = group <= kBlock       ? kBlock / group * group
                          : group % kBlock == 0 ? kBlock
                                                : group;
    const int64_t tiles = CeilDiv(rows_, kRowTile);
    for (int64_t begin = 0; begin < n_; begin += block) {
      const int64_t end = std::min(n_, begin + block);
      std::vector<float> u_rest(static_cast<size_t>((n_ - end) * (end - begin)));
      Transpose(u_.data() + begin * n_ + end, end - begin, n_ - end, n_, u_rest.data());
      pool->For(tiles, [&](int64_t tile, int) {
        const int64_t first = tile * kRowTile, last = std::min(rows_, first + kRowTile);
        std::vector<float> errors(static_cast<size_t>((last - first) * (end - begin)));
        for (int64_t r = first; r < last; ++r) {
          RoundRow(r, begin, end, errors.data() + (r - first) * (end - begin));
        }
        CorrectRest(first, last, end, end - begin, errors.data(), u_rest.data());
      });
    }
  }

 private:
  void RoundRow(int64_t r, int64_t begin, int64_t end, float* errors) {
    float* w = w_.data() + r * n_;
    if (begin == 0) {
      for (int64_t c = 0; c < n_; ++c) {
        if (dead_[static_cast<size_t>(c)]) w[c] = 0;
      }
      grid_.BeginRow(r, w);
    }
    for (int64_t c = begin; c < end; ++c) {
      if (grid_.group() != 0 && c % grid_.group() == 0) grid_.BeginGroup(r, c, w + c);
      const float* u = u_.data() + c * n_;
      const float error = (w[c] - grid_.Encode(r, c, w[c])) / u[c];
      for (int64_t k = c + 1; k < end; ++k) {
        w[k] -= error * u[k];
      }
      errors[c - begin] = error;
    }
  }

  // w[first .. last, from ..] -= errors U[block, from ..].
  void CorrectRest(int64_t first, int64_t last, int64_t from, int64_t block, const float* errors,
                   const float* u_rest) {
    std::vector<float> product(static_cast<size_t>((last - first) * kWideTile));
    for (int64_t c = from; c < n_; c += kWideTile) {
      const int64_t width = std::min(kWideTile, n_ - c);
      MultiplyTransposed(errors, last - first, u_rest + (c - from) * block, width, block,
                         product.data());
      for (int64_t r = first; r < last; ++r) {
        float* w = w_.data() + r * n_ + c;
        const float* change = product.data() + (r - first) * width;
        for (int64_t i = 0; i < width; ++i) {
          w[i] -= change[i];
        }
      }
    }
  }

  std::vector<float> w_;
  int64_t rows_, n_;
  const std::vector<float>& u_;
  const std::vector<bool>& dead_;
  Grid& grid_;
};

}  // namespace

Result<Weight> GptqInt4(const Weight& w, const Hessian& h, const GptqOptions& options,
                        ThreadPool* pool) {
  OCTET_TRY(Check(w, h, options));
  std::vector<float> values = ToF32(w);
  if (!std::ranges::all_of(values, [](float v) { return std::isfinite(v); })) {
    return Corrupt("the weight has values that are not finite");
  }
  OCTET_ASSIGN(Prepared p, Prepare(h, pool));
  OCTET_TRY(Factorize(h, options.damping, &p, pool));
  Int4Builder grid(w.shape, Int4GroupWidth(w.columns(), options.group), options.step, kHeadroom);
  Corrector(std::move(values), w.rows(), p, &grid).Run(pool);
  return std::move(grid).Finish();
}

}  // namespace octet
