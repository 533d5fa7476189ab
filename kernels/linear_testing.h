// For tests: linear layers of codes with their exact results.
#ifndef OCTET_KERNELS_LINEAR_TESTING_H_
#define OCTET_KERNELS_LINEAR_TESTING_H_

#include <cstdint>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "kernels/each_kernel.h"
#include "kernels/linear.h"
#include "kernels/panels.h"
#include "tensor/codecs/uniform.h"
#include "tensor/dtype.h"

namespace octet {

inline constexpr float kUntouched = -12345.0f;

struct LinearShape {
  int64_t M, N, K, group;
};

inline std::vector<float> RandomFloats(int64_t n, Rng* rng, float lo, float hi) {
  std::vector<float> v(static_cast<size_t>(n));
  for (float& x : v) {
    x = rng->Uniform(lo, hi);
  }
  return v;
}

// A problem with its oracle. `extreme`: every code at an end, the lowest in even rows and the
// highest in odd ones; multiplier 127.
struct IntegerProblem {
  IntegerProblem(DType dtype, const LinearShape& s, uint64_t seed, bool extreme, bool per_token,
                 bool per_row)
      : shape(s), groups((s.K + s.group - 1) / s.group) {
    Rng rng(seed);
    const bool i4 = dtype == DType::kI4;
    for (int64_t i = 0; i < s.M * s.K; ++i) {
      x.push_back(static_cast<int8_t>(extreme ? 127 : static_cast<int>(rng.Below(255)) - 127));
    }
    codes.resize(static_cast<size_t>(s.N * s.K));
    const int low = i4 ? -8 : -127, high = i4 ? 7 : 127;
    for (int64_t i = 0; i < s.N * s.K; ++i) {
      const int end = i / s.K % 2 == 0 ? low : high;
      const int any = low + static_cast<int>(rng.Below(static_cast<uint64_t>(high - low + 1)));
      codes[static_cast<size_t>(i)] = extreme ? end : any;
    }
    for (int64_t i = 0; i < s.N * groups; ++i) {
      multipliers.push_back(static_cast<uint8_t>(extreme ? 127 : 1 + rng.Below(127)));
    }
    Pack(i4);
    for (int64_t t = 0; t < s.M; ++t) {
      x_scale.push_back(RoundScale(rng.Uniform(0.001f, 0.1f)));
    }
    for (int64_t n = 0; n < s.N; ++n) {
      row_scale.push_back(RoundScale(rng.Uniform(0.0001f, 0.01f)));
    }
    bias = RandomFloats(s.N, &rng, -1.0f, 1.0f);
    y.assign(static_cast<size_t>(s.M * (s.N + 3)), kUntouched);
    args.M = s.M;
    args.N = args.n_end = s.N;
    args.K = s.K;
    args.n_begin = 0;
    args.x_dtype = DType::kI8;
    args.x = x.data();
    args.x_scale = x_scale.data();
    args.x_scale_stride = per_token ? 1 : 0;
    args.w = {dtype,
              packed.data(),
              row_scale.data(),
              per_row ? 1 : 0,
              i4 ? multipliers.data() : nullptr,
              i4 ? s.group : 0};
    args.bias = bias.data();
    args.y = y.data();
    args.y_stride = s.N + 3;
  }

  void Pack(bool i4) {
    const int64_t row_bytes = BytesOf(i4 ? DType::kI4 : DType::kI8, shape.K);
    packed.assign(static_cast<size_t>(shape.N * row_bytes), 0);
    for (int64_t n = 0; n < shape.N; ++n) {
      for (int64_t k = 0; k < shape.K; ++k) {
        const int code = codes[static_cast<size_t>(n * shape.K + k)];
        if (i4) {
          packed[static_cast<size_t>(n * row_bytes + k / 2)] |=
              static_cast<uint8_t>((code + 8) << (k % 2 * 4));
        } else {
          packed[static_cast<size_t>(n * row_bytes + k)] = static_cast<uint8_t>(code);
        }
      }
    }
  }

  float Expected(int64_t t, int64_t n) const {
    int64_t acc = 0;
    for (int64_t k = 0; k < shape.K; ++k) {
      const int64_t multiplier =
          args.w.dtype == DType::kI4
              ? multipliers[static_cast<size_t>(n * groups + k / shape.group)]
              : 1;
      acc += multiplier * x[static_cast<size_t>(t * shape.K + k)] *
             codes[static_cast<size_t>(n * shape.K + k)];
    }
    const long double scale =
        static_cast<long double>(x_scale[static_cast<size_t>(t * args.x_scale_stride)]) *
        static_cast<long double>(row_scale[static_cast<size_t>(n * args.w.row_scale_stride)]);
    const float v = static_cast<float>(static_cast<long double>(acc) * scale);
    return args.bias == nullptr ? v : v + bias[static_cast<size_t>(n)];
  }

  // From here on the codes are in panels.
  void UsePanels() {
    const PanelShape panel_shape = PanelShape::Of(args.w.dtype, shape.N, shape.K, shape.group);
    panels.assign(static_cast<size_t>(panel_shape.bytes), 0xff);
    PackPanels(panel_shape, args.w, 0, panel_shape.panels, panels.data());
    args.w.data = panels.data();
    args.w.layout = WeightLayout::kPanels;
    if (args.w.dtype == DType::kI4) {
      args.w.group_scale = panels.data() + panel_shape.multipliers_offset();
    }
  }

  // y of a run with columns [n_begin, n_end), which become those of `args`.
  std::vector<float> ExpectedY(int64_t n_begin, int64_t n_end) {
    args.n_begin = n_begin;
    args.n_end = n_end;
    std::vector<float> expected(y.size(), kUntouched);
    for (int64_t t = 0; t < shape.M; ++t) {
      for (int64_t n = n_begin; n < n_end; ++n) {
        expected[static_cast<size_t>(t * args.y_stride + n)] = Expected(t, n);
      }
    }
    return expected;
  }

  std::string Description() const {
    return fmt::format("{} M {} N {} K {} group {} [{}, {})", DTypeName(args.w.dtype), shape.M,
                       shape.N, shape.K, shape.group, args.n_begin, args.n_end);
  }

  // Runs every kernel and compares; returns the number of (ISA, kernel) pairs.
  int Check(int64_t n_begin, int64_t n_end) {
    const std::vector<float> expected = ExpectedY(n_begin, n_end);
    return ForEachKernel<LinearArgs>(args, [&](const std::string& name, auto& run) {
      y.assign(y.size(), kUntouched);
      run();
      EXPECT_EQ(y, expected) << name << " " << Description();
    });
  }

  LinearShape shape;
  int64_t groups;
  std::vector<int8_t> x;
  std::vector<int> codes;
  std::vector<uint8_t> packed, multipliers, panels;
  std::vector<float> x_scale, row_scale, bias, y;
  LinearArgs args;
};

// Sizes at which kernels of codes may go wrong: ends of panels, of groups and of tiles.
inline std::vector<LinearShape> CodeShapes(int64_t M) {
  return {{M, 1, 1, 32},    {M, 3, 31, 32},     {M, 16, 64, 32},
          {M, 37, 100, 64}, {M, 21, 200, 128},  {M, 40, 256, 128},
          {M, 5, 301, 96},  {M, 18, 1100, 128}, {M, 150, 96, 32}};
}

}  // namespace octet
#endif  // OCTET_KERNELS_LINEAR_TESTING_H_
