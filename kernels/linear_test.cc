// Contracts, for every kernel on every instruction set:
// - kI8 and kI4: the exact integer sum (int64 oracle), dequantized with one rounding (80-bit
// oracle),
//   then the bias in fp32, bit for bit: odd sizes, short groups, extremes, per-token scales.
// - float weights: within K roundings of the double dot product; 16-bit weights widen exactly;
//   bf16_compute within two bf16 roundings of the operands.
// - kI8 and kI4 weights with float inputs: within K + 3 roundings of the double dot product with
// the
//   decoded weights; on ref exactly the float product with them.
// - The same sums from codes in panels (kernels/panels.h), whose every code is where it is said to
// be.
// - linear/avx2-clipped gives these sums for tokens of any kind and parts of any size.
// - Only columns [n_begin, n_end) of y are written.
// - Pick prefers Highway for integers and few tokens, oneDNN for many float tokens.
#include "kernels/linear.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "kernels/each_kernel.h"
#include "kernels/linear_testing.h"
#include "kernels/panels.h"
#include "tensor/codecs/uniform.h"
#include "tensor/dtype.h"

namespace octet {
namespace {

// The kernels over panels that run at a level with M tokens and N outputs, best first.
std::vector<std::string> PanelKernels(const std::string& isa, DType dtype, int64_t M, int64_t N) {
  std::vector<std::string> names;
  if (isa == "amx" && M >= 16) names.emplace_back("linear/amx");
  if (isa == "amx" || isa == "avx512vnni") names.emplace_back("linear/avx512vnni");
  if (isa == "avxvnni") names.emplace_back("linear/avxvnni");
  if (isa == "amx" || isa.starts_with("avx")) {
    if (dtype == DType::kI8 && M >= 4 && N >= 64) names.emplace_back("linear/avx2-clipped");
    names.emplace_back("linear/avx2");
  }
  if (isa == "i8mm" && M >= 2) names.emplace_back("linear/i8mm");
  if (isa == "i8mm" || isa == "dotprod") names.emplace_back("linear/dotprod");
  names.emplace_back("linear/ref");
  return names;
}

bool IsaIsAvailable(const std::string& isa) {
  const std::vector<std::string> isas = AvailableIsas();
  return std::find(isas.begin(), isas.end(), isa) != isas.end();
}

// The levels that include oneDNN.
bool HasOneDnn(const std::string& isa) {
  return isa == "amx" || isa.starts_with("avx512") || isa == "i8mm" || isa == "dotprod" ||
         isa == "neon";
}

TEST(Linear, IntegersAreExact) {
  const int pairs =
      2 * static_cast<int>(AvailableIsas().size()) - 1;  // ref everywhere, hwy but on ref
  uint64_t seed = 100;
  for (const DType dtype : {DType::kI8, DType::kI4}) {
    for (const int64_t M : {1, 2, 3, 4, 5, 6, 17}) {
      const auto panel_pairs = [&](int64_t N) {
        int count = 0;
        for (const std::string& isa : AvailableIsas()) {
          count += static_cast<int>(PanelKernels(isa, dtype, M, N).size());
        }
        return count;
      };
      for (const LinearShape& s : CodeShapes(M)) {
        ++seed;
        IntegerProblem p(dtype, s, seed, false, seed % 2 == 0, seed % 3 != 0);
        if (seed % 5 == 0) p.args.bias = nullptr;
        EXPECT_EQ(p.Check(0, s.N), pairs);
        if (s.N > 2) {
          EXPECT_EQ(p.Check(1, s.N - 1), pairs);
        }
        if (s.N > 20) {
          EXPECT_EQ(p.Check(17, 18), pairs);
        }
        p.UsePanels();
        EXPECT_EQ(p.Check(0, s.N), panel_pairs(s.N));
        if (s.N > 20) {
          EXPECT_EQ(p.Check(1, s.N - 1), panel_pairs(s.N - 2));
          EXPECT_EQ(p.Check(17, 18), panel_pairs(1));
        }
      }
    }
  }
}

TEST(Linear, IntegerExtremesDoNotOverflow) {
  // 64 groups of 128 columns, all at their ends: the largest sum that kernels/linear.h allows.
  for (const int64_t M : {1, 4}) {
    for (const DType dtype : {DType::kI4, DType::kI8}) {
      IntegerProblem p(dtype, {M, 5, 64 * 128, 128}, 7, true, true, true);
      EXPECT_GE(p.Check(0, 5), 1);
      p.UsePanels();
      EXPECT_GE(p.Check(0, 5), 1);
    }
  }
}

// Magnitudes of codes: up to `most`, but for some in a hundred, which lie in [64, 127].
struct Magnitudes {
  int most, large_of_100;
};

void FillTokens(int64_t begin, int64_t end, const Magnitudes& kind, Rng* rng, IntegerProblem* p) {
  for (int64_t i = begin * p->shape.K; i < end * p->shape.K; ++i) {
    const bool large = static_cast<int>(rng->Below(100)) < kind.large_of_100;
    const auto below =
        static_cast<int>(rng->Below(large ? 64 : static_cast<uint64_t>(kind.most + 1)));
    const int magnitude = large ? 127 - below : below;
    p->x[static_cast<size_t>(i)] = static_cast<int8_t>(rng->Below(2) == 0 ? magnitude : -magnitude);
  }
}

void ExpectExact(const Kernel<LinearArgs>& kernel, int64_t begin, int64_t end, IntegerProblem* p) {
  const std::vector<float> expected = p->ExpectedY(begin, end);
  p->y.assign(p->y.size(), kUntouched);
  RunOnce(kernel, p->args);
  EXPECT_EQ(p->y, expected) << p->Description();
}

// linear/avx2-clipped is exact whatever its tokens are: where no codes, few, or more than it takes
// are too large together, also from some block on; with steps that are whole or not; for parts too
// small for it; beside the largest codes.
TEST(Linear, ClippedCodesAreExact) {
  if (!IsaIsAvailable("avx2")) GTEST_SKIP() << "this machine or OCTET_ISA has no AVX2";
  const Kernel<LinearArgs>& kernel = KernelNamed<LinearArgs>("linear/avx2-clipped");
  constexpr Magnitudes kNone = {42, 0}, kMany = {63, 100};
  const Magnitudes kinds[][2] = {{kNone, kNone},       {{63, 0}, {63, 0}}, {{42, 3}, {42, 3}},
                                 {{63, 10}, {63, 10}}, {kMany, kMany},     {kNone, kMany}};
  for (const int64_t M : {1, 2, 3, 4, 5, 6, 7, 129, 130, 131, 270}) {
    for (const int64_t K : {5, 64, 128, 192, 200}) {
      uint64_t seed = static_cast<uint64_t>(M * K);
      for (const auto& [first, rest] : kinds) {
        IntegerProblem p(DType::kI8, {M, 90, K, 32}, ++seed, K == 64, true, true);
        Rng rng(seed);
        FillTokens(0, std::min<int64_t>(M, 140), first, &rng, &p);
        FillTokens(std::min<int64_t>(M, 140), M, rest, &rng, &p);
        p.UsePanels();
        for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 90}, {3, 88}, {20, 40}}) {
          ExpectExact(kernel, begin, end, &p);
        }
      }
    }
  }
}

// Tokens of zeros but for six codes that one int16 adds up, at its limits and beyond: few enough to
// be clipped.
TEST(Linear, ClippedCodesAreExactAtTheLimits) {
  if (!IsaIsAvailable("avx2")) GTEST_SKIP() << "this machine or OCTET_ISA has no AVX2";
  const int8_t codes[][6] = {
      {64, 64, 0, 0, 0, 0},       {64, 65, 0, 0, 0, 0},          {-1, -127, 0, 0, 0, 0},
      {-127, -127, 0, 0, 0, 0},   {127, -127, 127, -127, 1, 0},  {127, 127, 127, 127, 127, 127},
      {42, 43, 42, 43, 42, 43},   {42, 43, 42, 43, 43, 43},      {-43, -42, -43, -42, -43, -43},
      {0, 0, 127, -127, 127, -1}, {-127, 127, 127, -127, -9, 9}, {1, 1, 127, -126, 127, -127},
  };
  constexpr auto kKinds = static_cast<int64_t>(std::size(codes));
  IntegerProblem p(DType::kI8, {kKinds, 64, 128, 32}, 5, true, true, true);
  p.UsePanels();
  for (const int64_t first : {0, 2, 12, 14, 108, 110}) {
    std::ranges::fill(p.x, int8_t{0});
    for (int64_t i = 0; i < kKinds * 6; ++i) {
      const int64_t column = first + i % 6 / 2 * 4 + i % 2;
      p.x[static_cast<size_t>(i / 6 * p.shape.K + column)] = codes[i / 6][i % 6];
    }
    ExpectExact(KernelNamed<LinearArgs>("linear/avx2-clipped"), 0, 64, &p);
  }
}

TEST(Linear, FewOrNarrowProductsAreNotClipped) {
  if (!IsaIsAvailable("avx2")) GTEST_SKIP() << "this machine or OCTET_ISA has no AVX2";
  ASSERT_TRUE(ForceIsa("avx2").ok());
  const auto pick = [](DType dtype, int64_t M, int64_t N) {
    IntegerProblem p(dtype, {M, N, 64, 32}, 1, false, true, true);
    p.UsePanels();
    return std::string(Kernels<LinearArgs>().Pick(p.args, AllowedIsas()).name);
  };
  EXPECT_EQ(pick(DType::kI8, 4, 64), "linear/avx2-clipped");
  EXPECT_EQ(pick(DType::kI8, 3, 64), "linear/avx2");
  EXPECT_EQ(pick(DType::kI8, 4, 63), "linear/avx2");
  EXPECT_EQ(pick(DType::kI4, 4, 64), "linear/avx2");
  ASSERT_TRUE(ForceIsa("").ok());
}

struct Float {
  Float(DType dtype, const LinearShape& s, uint64_t seed) : shape(s) {
    Rng rng(seed);
    x = RandomFloats(s.M * s.K, &rng, -1.0f, 1.0f);
    w = RandomFloats(s.N * s.K, &rng, -1.0f, 1.0f);
    bias = RandomFloats(s.N, &rng, -1.0f, 1.0f);
    for (float& v : w) {
      if (dtype == DType::kBF16) {
        half.push_back(F32ToBF16(v));
        v = BF16ToF32(half.back());
      } else if (dtype == DType::kF16) {
        half.push_back(F32ToF16(v * (rng.Below(9) == 0 ? 0x1.0p-16f : 1.0f)));  // some subnormal
        v = F16ToF32(half.back());
      }
    }
    y.assign(static_cast<size_t>(s.M * (s.N + 3)), kUntouched);
    args.M = s.M;
    args.N = args.n_end = s.N;
    args.K = s.K;
    args.n_begin = 0;
    args.x_dtype = DType::kF32;
    args.x = x.data();
    args.x_scale = nullptr;
    args.x_scale_stride = 0;
    args.w.dtype = dtype;
    args.w.data = dtype == DType::kF32 ? static_cast<const void*>(w.data()) : half.data();
    args.bias = bias.data();
    args.y = y.data();
    args.y_stride = s.N + 3;
  }

  void ExpectY(const std::string& name) const {
    for (int64_t t = 0; t < shape.M; ++t) {
      for (int64_t n = 0; n < args.y_stride; ++n) {
        const float got = y[static_cast<size_t>(t * args.y_stride + n)];
        if (n < args.n_begin || n >= args.n_end) {
          ASSERT_EQ(got, kUntouched) << name << " wrote column " << n;
          continue;
        }
        double sum = args.bias == nullptr ? 0.0 : static_cast<double>(bias[static_cast<size_t>(n)]);
        double magnitude = std::fabs(sum);
        for (int64_t k = 0; k < shape.K; ++k) {
          const double term = static_cast<double>(x[static_cast<size_t>(t * shape.K + k)]) *
                              static_cast<double>(w[static_cast<size_t>(n * shape.K + k)]);
          sum += term;
          magnitude += std::fabs(term);
        }
        const bool rounded = name.find("bf16") != std::string::npos;
        const double unit = static_cast<double>(shape.K + 1) * 0x1.0p-24 + (rounded ? 0x1.0p-8 : 0);
        ASSERT_NEAR(got, sum, magnitude * unit) << name << " t " << t << " n " << n;
      }
    }
  }

  LinearShape shape;
  std::vector<float> x, w, bias, y;
  std::vector<uint16_t> half;
  LinearArgs args;
};

TEST(Linear, FloatsAreCloseToDouble) {
  std::set<std::string> seen;
  uint64_t seed = 200;
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (const int64_t M : {1, 2, 3, 4, 5, 17}) {
      for (const LinearShape& s :
           {LinearShape{M, 1, 1, 0}, LinearShape{M, 3, 31, 0}, LinearShape{M, 16, 64, 0},
            LinearShape{M, 37, 100, 0}, LinearShape{M, 150, 256, 0}}) {
        Float p(dtype, s, ++seed);
        p.args.bf16_compute = seed % 2 == 0;
        if (seed % 5 == 0) p.args.bias = nullptr;
        if (s.N > 30) {
          p.args.n_begin = 1;
          p.args.n_end = s.N - 2;
        }
        ForEachKernel<LinearArgs>(p.args, [&](const std::string& name, auto& run) {
          seen.insert(name.substr(0, name.find(' ')));
          p.y.assign(p.y.size(), kUntouched);
          run();
          p.ExpectY(name);
        });
      }
    }
  }
  EXPECT_TRUE(seen.count("linear/ref") == 1);
  if (AvailableIsas().size() > 1) {
    EXPECT_TRUE(seen.count("linear/hwy") == 1);
  }
  if (HasOneDnn(AvailableIsas().front())) {
    EXPECT_TRUE(seen.count("linear/onednn") == 1);
  }
}

// Codes of an IntegerProblem times float inputs.
struct WeightOnly : IntegerProblem {
  WeightOnly(DType dtype, const LinearShape& s, uint64_t seed, bool per_row)
      : IntegerProblem(dtype, s, seed, false, false, per_row) {
    Rng rng(seed + 1);
    inputs = RandomFloats(s.M * s.K, &rng, -1.0f, 1.0f);
    args.x_dtype = DType::kF32;
    args.x = inputs.data();
    args.x_scale = nullptr;
  }

  double Decoded(int64_t n, int64_t k) const {
    const int multiplier = args.w.dtype == DType::kI4
                               ? multipliers[static_cast<size_t>(n * groups + k / shape.group)]
                               : 1;
    const float scale = row_scale[static_cast<size_t>(n * args.w.row_scale_stride)];
    return static_cast<double>(codes[static_cast<size_t>(n * shape.K + k)] * multiplier) *
           static_cast<double>(scale);
  }

  void ExpectY(const std::string& name) const {
    const double unit = static_cast<double>(shape.K + 3) * 0x1.0p-24;
    for (int64_t t = 0; t < shape.M; ++t) {
      for (int64_t n = 0; n < args.y_stride; ++n) {
        const float got = y[static_cast<size_t>(t * args.y_stride + n)];
        if (n < args.n_begin || n >= args.n_end) {
          ASSERT_EQ(got, kUntouched) << name << " wrote column " << n;
          continue;
        }
        double sum = 0, magnitude = 0;
        for (int64_t k = 0; k < shape.K; ++k) {
          const double term =
              static_cast<double>(inputs[static_cast<size_t>(t * shape.K + k)]) * Decoded(n, k);
          sum += term;
          magnitude += std::fabs(term);
        }
        const float b = args.bias == nullptr ? 0.0f : bias[static_cast<size_t>(n)];
        magnitude += std::fabs(static_cast<double>(b));
        ASSERT_NEAR(got, sum + static_cast<double>(b), magnitude * unit)
            << name << " " << DTypeName(args.w.dtype) << " M " << shape.M << " N " << shape.N
            << " K " << shape.K << " group " << shape.group << " t " << t << " n " << n;
        if (name.starts_with("linear/ref")) {
          ASSERT_EQ(got, static_cast<float>(sum) + b);
        }
      }
    }
  }

  std::vector<float> inputs;
};

TEST(Linear, CodesWithFloatInputsAreCloseToDouble) {
  std::set<std::string> seen;
  uint64_t seed = 300;
  for (const DType dtype : {DType::kI8, DType::kI4}) {
    for (const int64_t M : {1, 2, 3, 4, 5, 17}) {
      for (const LinearShape& s :
           {LinearShape{M, 1, 1, 32}, LinearShape{M, 2, 2, 32}, LinearShape{M, 3, 31, 32},
            LinearShape{M, 16, 64, 32}, LinearShape{M, 37, 100, 64}, LinearShape{M, 21, 200, 128},
            LinearShape{M, 5, 301, 96}, LinearShape{M, 150, 257, 128},
            LinearShape{M, 600, 320, 128}}) {
        ++seed;
        WeightOnly p(dtype, s, seed, seed % 3 != 0);
        if (seed % 5 == 0) p.args.bias = nullptr;
        if (s.N > 30) {
          p.args.n_begin = 1;
          p.args.n_end = s.N - 2;
        }
        ForEachKernel<LinearArgs>(p.args, [&](const std::string& name, auto& run) {
          seen.insert(std::string(DTypeName(dtype)) + " " + name.substr(0, name.find(' ')));
          p.y.assign(p.y.size(), kUntouched);
          run();
          p.ExpectY(name);
        });
      }
    }
  }
  std::set<std::string> expected = {"i8 linear/ref", "i4 linear/ref"};
  if (AvailableIsas().size() > 1) expected.insert({"i8 linear/hwy", "i4 linear/hwy-int4"});
  if (HasOneDnn(AvailableIsas().front())) {
    expected.insert({"i8 linear/onednn", "i4 linear/onednn"});
  }
  EXPECT_EQ(seen, expected);
}

TEST(Linear, PickPrefersTheFittingKernel) {
  if (AvailableIsas().size() == 1) GTEST_SKIP() << "only the reference kernels run here";
  const auto pick = [](const LinearArgs& args) {
    return std::string(Kernels<LinearArgs>().Pick(args, kAllIsas).name);
  };
  EXPECT_EQ(pick(IntegerProblem(DType::kI8, {17, 8, 64, 32}, 1, false, true, true).args),
            "linear/hwy-integer");
  for (const std::string& isa : AvailableIsas()) {
    for (const int64_t M : {1, 17}) {
      IntegerProblem in_panels(DType::kI4, {M, 8, 64, 32}, 1, false, true, true);
      in_panels.UsePanels();
      ASSERT_TRUE(ForceIsa(isa).ok());
      const std::string name = Kernels<LinearArgs>().Pick(in_panels.args, AllowedIsas()).name;
      EXPECT_EQ(name, PanelKernels(isa, DType::kI4, M, 8).front()) << isa << " M " << M;
    }
  }
  ASSERT_TRUE(ForceIsa("").ok());
  EXPECT_EQ(pick(WeightOnly(DType::kI4, {1, 8, 64, 32}, 1, true).args), "linear/hwy-int4");
  EXPECT_EQ(pick(WeightOnly(DType::kI8, {1, 8, 64, 32}, 1, true).args), "linear/hwy");
  EXPECT_EQ(pick(WeightOnly(DType::kI4, {17, 8, 64, 32}, 1, true).args), "linear/onednn");
  EXPECT_EQ(pick(Float(DType::kBF16, {1, 8, 64, 0}, 1).args), "linear/hwy");
  EXPECT_EQ(pick(Float(DType::kBF16, {17, 8, 64, 0}, 1).args), "linear/onednn");
  const LinearArgs many = Float(DType::kF32, {17, 8, 64, 0}, 1).args;
  EXPECT_EQ(std::string(Kernels<LinearArgs>().Pick(many, kReferenceOnly).name), "linear/ref");
}

}  // namespace
}  // namespace octet
