// Contracts:
// - Every kernel on every instruction set gives the codes, and per-token scales, of quantize/ref.
// - Decoded values are scale * code; they may replace x.
// - A code is the nearest multiple of the scale (double oracle; ties to even), within [-127, 127];
//   a per-token scale has 12 significant bits and the largest value uses a code of 126 or 127.
#include "kernels/quantize.h"

#include <bit>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "kernels/each_kernel.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

struct Problem {
  int64_t T, C, x_pad, n_scales;  // n_scales 0: per token
};

const Problem kProblems[] = {
    {1, 1, 0, 0},  {3, 17, 2, 0},    {2, 64, 0, 0},  {4, 1000, 3, 0},
    {1, 1, 0, 1},  {3, 33, 1, 1},    {2, 256, 0, 1}, {3, 35, 0, 7},
    {2, 48, 5, 3}, {2, 100, 0, 100}, {5, 128, 0, 2}, {2, 1536, 7, 24},
};

struct Quantize {
  Quantize(const Problem& p, uint64_t seed) {
    Rng rng(seed);
    x.resize(static_cast<size_t>(p.T * (p.C + p.x_pad)));
    for (float& v : x) {
      v = rng.Uniform(-1.0f, 1.0f) * (rng.Below(50) == 0 ? 40.0f : 1.0f);
      if (rng.Below(8) == 0) v = std::nearbyint(v * 64) * 0.015625f * 0.5f;  // ties at scale 1/64
    }
    for (int64_t s = 0; s < p.n_scales; ++s) {
      scales.push_back(s % 3 == 0 ? 0x1.0p-6f : RoundScale(rng.Uniform(0.001f, 0.5f)));
    }
    token_scales.assign(static_cast<size_t>(p.T), -1.0f);
    codes.assign(static_cast<size_t>(p.T * p.C), -128);
    args = {p.T,
            p.C,
            x.data(),
            p.C + p.x_pad,
            p.n_scales > 0 ? scales.data() : nullptr,
            p.n_scales,
            p.n_scales > 0 ? nullptr : token_scales.data(),
            codes.data()};
  }
  std::vector<float> x, scales, token_scales;
  std::vector<int8_t> codes;
  QuantizeArgs args;
};

const Kernel<QuantizeArgs>& Reference(const QuantizeArgs& args) {
  return Kernels<QuantizeArgs>().Pick(args, kReferenceOnly);
}

TEST(Quantize, CodesAreTheNearestMultiples) {
  for (const Problem& p : kProblems) {
    Quantize q(p, 41);
    Reference(q.args).run(q.args, {});
    for (int64_t t = 0; t < p.T; ++t) {
      for (int64_t c = 0; c < p.C; ++c) {
        const float scale = p.n_scales > 0 ? q.scales[static_cast<size_t>(c / (p.C / p.n_scales))]
                                           : q.token_scales[static_cast<size_t>(t)];
        const double exact =
            static_cast<double>(q.x[static_cast<size_t>(t * (p.C + p.x_pad) + c)]) / scale;
        const int code = q.codes[static_cast<size_t>(t * p.C + c)];
        EXPECT_LE(std::abs(code), 127);
        // The fp32 reciprocal and product move x / scale by at most 2^-23 of itself.
        const double limited = std::min(127.0, std::max(-127.0, exact));
        EXPECT_NEAR(code, limited, 0.5 + 127 * 0x1.0p-23);
        if (scale == 0x1.0p-6f && std::fabs(exact) < 127) {
          EXPECT_EQ(code, std::nearbyint(exact));
        }
      }
    }
  }
}

TEST(Quantize, TokenScalesHoldTheLargestValue) {
  for (const Problem& p : kProblems) {
    if (p.n_scales > 0) continue;
    Quantize q(p, 42);
    Reference(q.args).run(q.args, {});
    for (int64_t t = 0; t < p.T; ++t) {
      EXPECT_EQ(std::bit_cast<uint32_t>(q.token_scales[static_cast<size_t>(t)]) & 0xfffu, 0u);
      int largest = 0;
      for (int64_t c = 0; c < p.C; ++c) {
        largest = std::max(largest, std::abs(int{q.codes[static_cast<size_t>(t * p.C + c)]}));
      }
      EXPECT_GE(largest, 126);
    }
  }
}

TEST(Quantize, TheLargestValueCountsWhereverItIs) {
  for (int64_t at = 0; at < 35; ++at) {
    std::vector<float> x(35, 0.5f);
    x[static_cast<size_t>(at)] = -2.0f;
    std::vector<int8_t> codes(35);
    float token_scale = -1.0f;
    ForEachKernel<QuantizeArgs>({1, 35, x.data(), 35, nullptr, 0, &token_scale, codes.data()},
                                [&](const std::string& name, auto& run) {
                                  run();
                                  EXPECT_EQ(token_scale, ScaleForAbsMax(2.0f)) << name << " " << at;
                                });
  }
}

TEST(Quantize, EveryKernelHasTheReferenceCodes) {
  for (const Problem& p : kProblems) {
    Quantize q(p, 43);
    Reference(q.args).run(q.args, {});
    const std::vector<int8_t> codes = q.codes;
    const std::vector<float> scales = q.token_scales;
    const int count = ForEachKernel<QuantizeArgs>(q.args, [&](const std::string& name, auto& run) {
      q.codes.assign(q.codes.size(), -128);
      q.token_scales.assign(q.token_scales.size(), -1.0f);
      run();
      EXPECT_EQ(q.codes, codes) << name << " C " << p.C << " scales " << p.n_scales;
      EXPECT_EQ(q.token_scales, scales) << name << " C " << p.C;
    });
    EXPECT_GE(count, 2 * static_cast<int>(AvailableIsas().size()) - 1);
  }
}

TEST(Quantize, DecodedValuesReplaceX) {
  for (const Problem& p : kProblems) {
    Quantize q(p, 44);
    const std::vector<float> x = q.x;
    q.args.decoded = q.x.data();
    ForEachKernel<QuantizeArgs>(q.args, [&](const std::string& name, auto& run) {
      q.x = x;
      run();
      for (int64_t t = 0; t < p.T; ++t) {
        for (int64_t c = 0; c < p.C + p.x_pad; ++c) {
          const auto at = static_cast<size_t>(t * (p.C + p.x_pad) + c);
          if (c >= p.C) {
            EXPECT_EQ(q.x[at], x[at]) << name << " wrote beside the row";
            continue;
          }
          const float scale = p.n_scales > 0 ? q.scales[static_cast<size_t>(c * p.n_scales / p.C)]
                                             : q.token_scales[static_cast<size_t>(t)];
          const auto code = static_cast<float>(q.codes[static_cast<size_t>(t * p.C + c)]);
          EXPECT_EQ(q.x[at], scale * code) << name << " C " << p.C << " scales " << p.n_scales;
        }
      }
    });
  }
}

TEST(Quantize, ZerosAndSaturation) {
  std::vector<float> x(64, 0.0f);
  std::vector<int8_t> codes(64);
  float token_scale = -1.0f;
  ForEachKernel<QuantizeArgs>({1, 64, x.data(), 64, nullptr, 0, &token_scale, codes.data()},
                              [&](const std::string& name, auto& run) {
                                codes.assign(64, 1);
                                token_scale = -1.0f;
                                run();
                                EXPECT_EQ(token_scale, 1.0f) << name;
                                EXPECT_EQ(codes, std::vector<int8_t>(64, 0)) << name;
                              });
  std::vector<float> big(64, 3e38f);
  big[5] = -3e38f;
  const float scale = 0x1.0p-40f;
  ForEachKernel<QuantizeArgs>({1, 64, big.data(), 64, &scale, 1, nullptr, codes.data()},
                              [&](const std::string& name, auto& run) {
                                codes.assign(64, 1);
                                run();
                                EXPECT_EQ(codes[0], 127) << name;
                                EXPECT_EQ(codes[5], -127) << name;
                              });
}

}  // namespace
}  // namespace octet
