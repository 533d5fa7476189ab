// Contracts of Hessian, InverseCholesky, Int4Builder and GPTQ:
//  1. A Hessian is (2 / n) sum x x^T; the same bits however its rows are cut into calls, and for 1
//     and 4 threads; not finite, empty and oversized are errors.
//  2. InverseCholesky gives the U of U^T U = h^-1, across blocks, and refuses an indefinite matrix.
//  3. QuantizeInt4Rtn is the pass's rounding to nearest, byte for byte.
//  4. GPTQ has the codes and scales of the formulas written plainly in double, for both step rules,
//     column counts that are no multiple of the group or of 128, wide groups, dead columns, 4 and 8
//     bits.
//  5. On correlated inputs its output error is well below that of rounding to nearest.
//  6. The same bytes for 1 and 4 threads, and for inputs in another unit.
//  7. A singular Hessian raises the damping; what cannot be helped is an error.
#include "quant/gptq.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "quant/cholesky.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

using testing::HasSubstr;
using Floats = std::vector<float>;
using Doubles = std::vector<double>;

size_t At(int64_t r, int64_t c, int64_t columns) {
  return static_cast<size_t>(r * columns + c);
}

// Inputs [rows, K] that share a few directions, as activations of a model do.
Floats CorrelatedInputs(int64_t rows, int64_t K, uint64_t seed) {
  Rng rng(seed);
  const int64_t shared = std::max<int64_t>(1, K / 8);
  Floats mix(static_cast<size_t>(shared * K));
  for (float& v : mix) {
    v = rng.Uniform(-1, 1);
  }
  Floats x(static_cast<size_t>(rows * K));
  for (int64_t r = 0; r < rows; ++r) {
    Floats source(static_cast<size_t>(shared));
    for (float& v : source) {
      v = rng.Uniform(-1, 1);
    }
    for (int64_t c = 0; c < K; ++c) {
      float sum = rng.Uniform(-0.5f, 0.5f);
      for (int64_t s = 0; s < shared; ++s) {
        sum += source[static_cast<size_t>(s)] * mix[At(s, c, K)];
      }
      x[At(r, c, K)] = sum;
    }
  }
  return x;
}

Weight RandomWeight(int64_t rows, int64_t K, uint64_t seed) {
  Rng rng(seed);
  Floats v(static_cast<size_t>(rows * K));
  for (float& e : v) {
    // A sum of uniforms: bell-shaped, as trained weights are.
    e = rng.Uniform(-1, 1) + rng.Uniform(-1, 1) + rng.Uniform(-1, 1);
  }
  return MakeWeight(std::move(v), {rows, K});
}

Hessian MakeHessian(const Floats& x, int64_t K, int threads = 1) {
  ThreadPool pool(threads);
  Hessian h = *Hessian::Create(K);
  h.Add(x.data(), static_cast<int64_t>(x.size()) / K, &pool);
  return h;
}

Doubles PlainHessian(const Floats& x, int64_t K) {
  const int64_t n = static_cast<int64_t>(x.size()) / K;
  Doubles h(static_cast<size_t>(K * K));
  for (int64_t t = 0; t < n; ++t) {
    for (int64_t i = 0; i < K; ++i) {
      for (int64_t j = 0; j < K; ++j) {
        h[At(i, j, K)] += 2.0 / static_cast<double>(n) * static_cast<double>(x[At(t, i, K)]) *
                          static_cast<double>(x[At(t, j, K)]);
      }
    }
  }
  return h;
}

// Gauss-Jordan without pivoting, then an ordinary Cholesky of the inverse: nothing in common with
// the code under test.
Doubles PlainInverse(Doubles h, int64_t n) {
  Doubles inverse(h.size());
  for (int64_t i = 0; i < n; ++i) {
    inverse[At(i, i, n)] = 1;
  }
  for (int64_t k = 0; k < n; ++k) {
    const double pivot = h[At(k, k, n)];
    for (int64_t j = 0; j < n; ++j) {
      h[At(k, j, n)] /= pivot;
      inverse[At(k, j, n)] /= pivot;
    }
    for (int64_t i = 0; i < n; ++i) {
      const double factor = h[At(i, k, n)];
      if (i == k || factor == 0) continue;
      for (int64_t j = 0; j < n; ++j) {
        h[At(i, j, n)] -= factor * h[At(k, j, n)];
        inverse[At(i, j, n)] -= factor * inverse[At(k, j, n)];
      }
    }
  }
  return inverse;
}

// The upper U with a = U^T U.
Doubles PlainUpperCholesky(const Doubles& a, int64_t n) {
  Doubles u(a.size());
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = i; j < n; ++j) {
      double sum = a[At(i, j, n)];
      for (int64_t k = 0; k < i; ++k) {
        sum -= u[At(k, i, n)] * u[At(k, j, n)];
      }
      u[At(i, j, n)] = i == j ? std::sqrt(sum) : sum / u[At(i, i, n)];
    }
  }
  return u;
}

// Whether rounding `v` could go the other way in fp32.
bool NearTie(double v) {
  return std::fabs(std::fabs(v - std::nearbyint(v)) - 0.5) < 5e-5;
}

int PlainInt4Code(double value, double step) {
  return static_cast<int>(std::clamp(std::nearbyint(value / step) + 8, 0.0, 15.0));
}

// The multiplier of one group by the rule's definition; sets `close` where another is as good.
int PlainMultiplier(const double* w, int64_t n, double base, Int4Step rule, bool* close) {
  double peak = 0;
  for (int64_t i = 0; i < n; ++i) {
    peak = std::max(peak, std::fabs(w[i]));
  }
  const double nearest = std::min(127.0, std::nearbyint(2 * peak / 15 / base));
  *close = *close || NearTie(2 * peak / 15 / base);
  if (rule == Int4Step::kAbsMax) return static_cast<int>(std::max(1.0, nearest));
  const int first = static_cast<int>(std::max(1.0, std::ceil(0.7 * nearest - 1e-6)));
  const int last = static_cast<int>(std::min(127.0, std::ceil(1.1 * nearest - 1e-6)));
  int best = first;
  double least = std::numeric_limits<double>::infinity(), second = least;
  for (int m = first; m <= std::max(first, last); ++m) {
    double error = 0;
    for (int64_t i = 0; i < n; ++i) {
      error += std::pow((PlainInt4Code(w[i], base * m) - 8) * base * m - w[i], 2);
    }
    second = std::min(second, std::max(error, least));
    if (error < least) {
      least = error;
      best = m;
    }
  }
  *close = *close || second < least * (1 + 1e-5);
  return best;
}

struct PlainResult {
  std::vector<int> codes, multipliers;
  std::vector<bool> close;  // by row: some choice is so near a tie that fp32 may take the other
};

// GPTQ as methods_mamba 2.6 writes it, in double, without blocks.
PlainResult PlainGptq(const Weight& weight, const Floats& x, const Floats& bases, int64_t group,
                      Int4Step rule) {
  const int64_t K = weight.columns();
  Doubles h = PlainHessian(x, K);
  const Floats values = ToF32(weight);
  Doubles w(values.begin(), values.end());
  double mean = 0;
  int64_t alive = 0;
  for (int64_t j = 0; j < K; ++j) {
    mean += h[At(j, j, K)];
    alive += h[At(j, j, K)] > 0 ? 1 : 0;
  }
  mean /= static_cast<double>(alive);
  for (int64_t j = 0; j < K; ++j) {
    if (h[At(j, j, K)] == 0) {
      h[At(j, j, K)] = 1;
      for (int64_t r = 0; r < weight.rows(); ++r) {
        w[At(r, j, K)] = 0;
      }
    }
    h[At(j, j, K)] += 0.01 * mean;
  }
  const Doubles u = PlainUpperCholesky(PlainInverse(h, K), K);
  PlainResult result;
  for (int64_t r = 0; r < weight.rows(); ++r) {
    const auto base = static_cast<double>(bases[bases.size() == 1 ? 0 : static_cast<size_t>(r)]);
    double* row = w.data() + r * K;
    bool close = false;
    for (int64_t j = 0; j < K; ++j) {
      if (j % group == 0) {
        result.multipliers.push_back(
            PlainMultiplier(row + j, std::min(group, K - j), base, rule, &close));
      }
      const double step = base * result.multipliers.back();
      close = close || NearTie(row[j] / step);
      result.codes.push_back(PlainInt4Code(row[j], step));
      const double decoded = (result.codes.back() - 8) * step;
      const double e = (row[j] - decoded) / u[At(j, j, K)];
      for (int64_t k = j + 1; k < K; ++k) {
        row[k] -= e * u[At(j, k, K)];
      }
    }
    result.close.push_back(close);
  }
  return result;
}

std::vector<int> CodesOf(const Weight& w) {
  std::vector<int> codes;
  const auto* bytes = reinterpret_cast<const uint8_t*>(w.data);
  for (int64_t r = 0; r < w.rows(); ++r) {
    for (int64_t c = 0; c < w.columns(); ++c) {
      if (w.dtype == DType::kI8) {
        codes.push_back(static_cast<int8_t>(bytes[r * w.columns() + c]));
      } else {
        const int byte = bytes[r * BytesOf(DType::kI4, w.columns()) + c / 2];
        codes.push_back(c % 2 == 0 ? byte & 15 : byte >> 4);
      }
    }
  }
  return codes;
}

std::vector<std::byte> AllBytes(const Weight& w) {
  const int64_t n = w.dtype == DType::kI4 ? w.rows() * BytesOf(w.dtype, w.columns()) : w.count();
  std::vector<std::byte> all(w.data, w.data + n);
  const auto append = [&](const auto& v) {
    const auto* p = reinterpret_cast<const std::byte*>(v.data());
    all.insert(all.end(), p, p + v.size() * sizeof(v[0]));
  };
  append(*w.row_scale);
  if (w.group_scale != nullptr) append(*w.group_scale);
  return all;
}

// Mean squared output error relative to the mean squared output.
double OutputError(const Weight& w, const Weight& q, const Floats& x) {
  const int64_t K = w.columns(), n = static_cast<int64_t>(x.size()) / K;
  const Floats a = ToF32(w), b = ToF32(q);
  double error = 0, power = 0;
  for (int64_t t = 0; t < n; ++t) {
    for (int64_t r = 0; r < w.rows(); ++r) {
      double y = 0, e = 0;
      for (int64_t c = 0; c < K; ++c) {
        const auto v = static_cast<double>(x[At(t, c, K)]);
        y += v * static_cast<double>(a[At(r, c, K)]);
        e += v * (static_cast<double>(a[At(r, c, K)]) - static_cast<double>(b[At(r, c, K)]));
      }
      error += e * e;
      power += y * y;
    }
  }
  return std::sqrt(error / power);
}

TEST(HessianTest, IsTheSumOfItsDefinition) {
  for (const int64_t K : {1, 37, 256, 300}) {
    for (const int64_t rows : {1, 255, 256, 600}) {
      const Floats x = CorrelatedInputs(rows, K, 1);
      ThreadPool pool(1);
      const Hessian h = MakeHessian(x, K);
      EXPECT_EQ(h.rows(), rows);
      const Floats got = *h.Matrix(&pool);
      const Doubles want = PlainHessian(x, K);
      double largest = 0;
      for (const double v : want) {
        largest = std::max(largest, std::fabs(v));
      }
      for (int64_t i = 0; i < K; ++i) {
        for (int64_t j = 0; j < K; ++j) {
          // fp32 sums of at most 600 products.
          ASSERT_NEAR(got[At(i, j, K)], want[At(i, j, K)], 1e-5 * largest) << i << "," << j;
          ASSERT_EQ(got[At(i, j, K)], got[At(j, i, K)]);
        }
      }
    }
  }
}

TEST(HessianTest, PiecesAndThreadsChangeNoBit) {
  const int64_t K = 300, rows = 1100;
  const Floats x = CorrelatedInputs(rows, K, 2);
  ThreadPool one(1), four(4);
  const Floats want = *MakeHessian(x, K).Matrix(&one);
  EXPECT_EQ(*MakeHessian(x, K, 4).Matrix(&four), want);
  for (const int64_t piece : {1, 7, 255, 256, 257, 700}) {
    Hessian h = *Hessian::Create(K);
    for (int64_t begin = 0; begin < rows; begin += piece) {
      h.Add(x.data() + begin * K, std::min(piece, rows - begin), &four);
      ASSERT_TRUE(h.Matrix(&one).ok());  // reading changes nothing
    }
    EXPECT_EQ(*h.Matrix(&one), want) << piece;
  }
}

TEST(HessianTest, Errors) {
  ThreadPool pool(1);
  EXPECT_EQ(Hessian::Create(0).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Hessian::Create(-3).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Hessian::Create(Hessian::kMaxColumns + 1).status().code(), Code::kInvalidArgument);
  Hessian h = *Hessian::Create(5);
  EXPECT_EQ(h.Matrix(&pool).status().code(), Code::kInvalidArgument);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e30f}) {
    h = *Hessian::Create(5);
    const Floats x = {1, 2, bad, 3, 4};
    h.Add(x.data(), 1, &pool);
    const Status s = h.Matrix(&pool).status();
    EXPECT_EQ(s.code(), Code::kCorrupt) << bad;
    EXPECT_THAT(s.message(), HasSubstr("column 2"));
  }
}

TEST(InverseCholeskyTest, AgainstPlainElimination) {
  for (const int64_t n : {1, 2, 127, 128, 129, 300}) {
    const Floats x = CorrelatedInputs(2 * n + 3, n, 3);
    Doubles h = PlainHessian(x, n);
    for (int64_t i = 0; i < n; ++i) {
      h[At(i, i, n)] += 0.01;
    }
    const Doubles want = PlainUpperCholesky(PlainInverse(h, n), n);
    Floats got(h.begin(), h.end());
    ThreadPool pool(1);
    ASSERT_TRUE(InverseCholesky(n, &got, &pool));
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        // The condition number is about 1e3.
        ASSERT_NEAR(got[At(i, j, n)], want[At(i, j, n)], 2e-4 * want[At(i, i, n)])
            << n << ": " << i << "," << j;
      }
    }
  }
}

TEST(InverseCholeskyTest, RefusesIndefiniteMatrices) {
  ThreadPool pool(1);
  for (const int64_t n : {2, 200}) {
    for (const int64_t at : {int64_t{0}, n - 1}) {
      for (const float bad : {-1.0f, 0.0f, std::numeric_limits<float>::quiet_NaN()}) {
        Floats h(static_cast<size_t>(n * n));
        for (int64_t i = 0; i < n; ++i) {
          h[At(i, i, n)] = i == at ? bad : 1.0f;
        }
        EXPECT_FALSE(InverseCholesky(n, &h, &pool)) << n << " " << at << " " << bad;
      }
    }
  }
}

struct GptqCase {
  int64_t rows, K, group;
  std::vector<int64_t> dead;
};

std::vector<GptqCase> GptqCases() {
  return {{5, 32, 32, {}},    {3, 64, 32, {0, 9, 63}},
          {70, 100, 64, {}},   // two tiles of rows; a short last group
          {4, 300, 128, {5}},  // blocks of 128
          {4, 300, 96, {}},    // a block of 96
          {3, 330, 160, {}},   // a group wider than a block
          {2, 45, 64, {44}}};  // a group wider than the row
}

Floats InputsOf(const GptqCase& c) {
  Floats x = CorrelatedInputs(2 * c.K + 50, c.K, 4);
  for (size_t i = 0; i < x.size(); ++i) {
    const auto column = static_cast<int64_t>(i) % c.K;
    if (std::ranges::count(c.dead, column) != 0) x[i] = 0;
  }
  return x;
}

// Rows of codes or multipliers, but for rows where the oracle met a near tie.
void ExpectSameRows(const std::vector<int>& got, const std::vector<int>& want,
                    const std::vector<bool>& close) {
  ASSERT_EQ(got.size(), want.size());
  const auto rows = static_cast<std::ptrdiff_t>(close.size());
  const auto run = static_cast<std::ptrdiff_t>(got.size()) / rows;
  for (std::ptrdiff_t r = 0; r < rows; ++r) {
    if (close[static_cast<size_t>(r)]) continue;
    EXPECT_TRUE(
        std::equal(got.begin() + r * run, got.begin() + (r + 1) * run, want.begin() + r * run))
        << "row " << r;
  }
  EXPECT_LE(std::ranges::count(close, true), rows / 3) << "too few rows are compared";
}

TEST(Gptq, Int4IsTheFormula) {
  ThreadPool pool(1);
  for (const GptqCase& c : GptqCases()) {
    for (const Int4Step rule : {Int4Step::kAbsMax, Int4Step::kLeastSquares}) {
      SCOPED_TRACE(testing::Message() << c.rows << "x" << c.K << " group " << c.group << " rule "
                                      << static_cast<int>(rule));
      const Weight w = RandomWeight(c.rows, c.K, 5);
      const Floats x = InputsOf(c);
      const Result<Weight> q =
          GptqInt4(w, MakeHessian(x, c.K), {.group = c.group, .step = rule}, &pool);
      ASSERT_TRUE(q.ok()) << q.status().message();
      EXPECT_EQ(q->dtype, DType::kI4);
      EXPECT_EQ(q->shape, w.shape);
      EXPECT_EQ(q->group, c.group);
      const PlainResult want = PlainGptq(w, x, *q->row_scale, c.group, rule);
      ExpectSameRows({q->group_scale->begin(), q->group_scale->end()}, want.multipliers,
                     want.close);
      ExpectSameRows(CodesOf(*q), want.codes, want.close);
      for (int64_t r = 0; r < c.rows; ++r) {
        for (const int64_t column : c.dead) {
          EXPECT_EQ(CodesOf(*q)[At(r, column, c.K)], 8) << "a dead column has weight zero";
        }
      }
    }
  }
}

TEST(Gptq, BasesHaveTwiceTheRoomOfTheRow) {
  ThreadPool pool(1);
  const Weight w = RandomWeight(4, 300, 5);
  const Floats values = ToF32(w);
  const GptqOptions options{.group = 128, .step = Int4Step::kAbsMax};
  const Weight q = *GptqInt4(w, MakeHessian(CorrelatedInputs(700, 300, 4), 300), options, &pool);
  for (size_t r = 0; r < 4; ++r) {
    float peak = 0;
    for (size_t c = 0; c < 300; ++c) {
      peak = std::max(peak, std::fabs(values[r * 300 + c]));
    }
    EXPECT_EQ((*q.row_scale)[r], RoundScale(2.0f * (2.0f * peak / 15.0f) / 127.0f));
  }
}

TEST(Gptq, LowersTheOutputErrorOfCorrelatedInputs) {
  const int64_t K = 256, rows = 64;
  const Weight w = RandomWeight(rows, K, 8);
  const Floats x = CorrelatedInputs(1024, K, 9);
  ThreadPool pool(1);
  const Hessian h = MakeHessian(x, K);
  for (const Int4Step rule : {Int4Step::kAbsMax, Int4Step::kLeastSquares}) {
    const double rtn = OutputError(w, QuantizeInt4Rtn(w, 128, rule, &pool), x);
    const double gptq = OutputError(w, *GptqInt4(w, h, {.step = rule}, &pool), x);
    RecordProperty("rtn", std::to_string(rtn));
    RecordProperty("gptq", std::to_string(gptq));
    EXPECT_LT(gptq, 0.75 * rtn) << "rule " << static_cast<int>(rule);
  }
}

TEST(Gptq, ThreadsAndUnitsChangeNoByte) {
  const int64_t K = 420, rows = 150;
  const Weight w = RandomWeight(rows, K, 10);
  Floats x = CorrelatedInputs(500, K, 11);
  ThreadPool one(1), four(4);
  const auto want4 = AllBytes(*GptqInt4(w, MakeHessian(x, K), {}, &one));
  EXPECT_EQ(AllBytes(*GptqInt4(w, MakeHessian(x, K, 4), {}, &four)), want4);
  for (float& v : x) {
    v *= 1024;  // H changes by a power of four, U by one of two: exact
  }
  EXPECT_EQ(AllBytes(*GptqInt4(w, MakeHessian(x, K), {}, &one)), want4);
}

TEST(Gptq, FewerInputsThanColumnsIsNoProblem) {
  ThreadPool pool(1);
  const Weight w = RandomWeight(8, 200, 12);
  const Floats x = CorrelatedInputs(3, 200, 13);
  const Result<Weight> q = GptqInt4(w, MakeHessian(x, 200), {}, &pool);
  ASSERT_TRUE(q.ok()) << q.status().message();
  EXPECT_LT(OutputError(w, *q, x), OutputError(w, QuantizeInt4Rtn(w, 128, {}, &pool), x));
  // Without damping the matrix is singular, and ten times nothing is nothing.
  const Status s = GptqInt4(w, MakeHessian(x, 200), {.damping = 0}, &pool).status();
  EXPECT_EQ(s.code(), Code::kInvalidArgument);
  EXPECT_THAT(s.message(), HasSubstr("not positive definite"));
  // A damping below what fp32 resolves is raised until it helps.
  EXPECT_TRUE(GptqInt4(w, MakeHessian(x, 200), {.damping = 1e-7}, &pool).ok());
}

TEST(Gptq, NoInputEverButZeroGivesZeros) {
  ThreadPool pool(1);
  const Weight w = RandomWeight(3, 64, 14);
  const Weight q = *GptqInt4(w, MakeHessian(Floats(64 * 10, 0.0f), 64), {}, &pool);
  EXPECT_THAT(ToF32(q), testing::Each(0.0f));
}

TEST(Gptq, Errors) {
  ThreadPool pool(1);
  const Hessian h = MakeHessian(CorrelatedInputs(50, 64, 15), 64);
  const Weight w = RandomWeight(3, 64, 16);
  const auto error = [&](const Weight& weight, const Hessian& hessian, const GptqOptions& o) {
    return GptqInt4(weight, hessian, o, &pool).status();
  };
  EXPECT_THAT(error(*GptqInt4(w, h, {}, &pool), h, {}).message(), HasSubstr("quantized already"));
  EXPECT_THAT(error(RandomWeight(3, 63, 1), h, {}).message(), HasSubstr("63 columns, its inputs"));
  EXPECT_THAT(error(w, h, {.group = 48}).message(), HasSubstr("option group"));
  EXPECT_THAT(error(w, h, {.group = 0}).message(), HasSubstr("option group"));
  EXPECT_THAT(error(w, h, {.damping = -0.1}).message(), HasSubstr("option damping"));
  EXPECT_THAT(error(w, h, {.damping = std::nan("")}).message(), HasSubstr("option damping"));
  EXPECT_THAT(error(w, *Hessian::Create(64), {}).message(), HasSubstr("no inputs"));
  Floats bad = ToF32(w);
  bad[70] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(error(MakeWeight(bad, {3, 64}), h, {}).code(), Code::kCorrupt);
}

}  // namespace
}  // namespace octet
