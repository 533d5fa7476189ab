// Contracts:
//  1. Every kernel on every instruction set gives the packed codes and the decoded floats of
//     EncodeValue and DecodeValue, bit for bit: every code, 10^7 random floats in all, bit
//     patterns, borders of the codes and their neighbours, NaN, infinities and denormals.
//  2. Scales and zeros apply to equal runs of channels; strides are honoured, nothing outside the
//     rows is written, x may be y, and either output may be absent.
#include "kernels/encode.h"

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "kernels/each_kernel.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

struct Problem {
  int64_t T, C, pad, n_scales;
};

struct Encoded {
  Encoded(Codec codec, const Problem& p, uint64_t seed) {
    Rng rng(seed);
    for (int64_t s = 0; s < p.n_scales; ++s) {
      scales.push_back(RoundScale(rng.Uniform(0.01f, 0.5f)));
      zeros.push_back(static_cast<uint8_t>(rng.Below(static_cast<uint64_t>(MaxZero(codec)) + 1)));
    }
    x.assign(static_cast<size_t>(p.T * (p.C + p.pad)), -3.0f);
    codes.assign(static_cast<size_t>(p.T * p.C * CodeBytes(codec)) + 8, 0xa5);
    args = {p.T,
            p.C,
            codec,
            x.data(),
            p.C + p.pad,
            scales.data(),
            HasZero(codec) ? zeros.data() : nullptr,
            p.n_scales,
            x.data(),
            p.C + p.pad,
            codes.data()};
  }
  float ScaleAt(int64_t c) const {
    return scales[static_cast<size_t>(c / (args.C / args.n_scales))];
  }
  int ZeroAt(int64_t c) const {
    return args.zeros == nullptr ? 0 : zeros[static_cast<size_t>(c / (args.C / args.n_scales))];
  }
  std::vector<float> x, scales;
  std::vector<uint8_t> zeros, codes;
  EncodeArgs args;
};

// Any pattern of bits, small values, borders of codes and their neighbours.
float Draw(Rng* rng, Codec codec, float scale, int zero) {
  switch (rng->Below(4)) {
    case 0:
      return std::bit_cast<float>(static_cast<uint32_t>(rng->Below(uint64_t{1} << 32)));
    case 1:
      return rng->Uniform(-500, 500) * scale;
    case 2:
      return rng->Uniform(-20, 20) * scale;
    default:
      break;
  }
  const auto count = static_cast<uint64_t>(MaxCode(codec) - MinCode(codec));
  const int code = MinCode(codec) + static_cast<int>(rng->Below(count));
  const float at = DecodeValue(codec, code, scale, zero);
  const float next = DecodeValue(codec, code + 1, scale, zero);
  const float v = rng->Below(2) == 0 ? at : at + 0.5f * (next - at);
  const uint64_t side = rng->Below(3);
  return side == 0 ? v : std::nextafter(v, side == 1 ? -1e30f : 1e30f);
}

void ExpectNormative(const Encoded& e, const std::vector<float>& before, const std::string& name) {
  const EncodeArgs& a = e.args;
  int64_t wrong = 0;
  for (int64_t t = 0; t < a.T; ++t) {
    for (int64_t c = 0; c < a.x_stride; ++c) {
      const auto at = static_cast<size_t>(t * a.x_stride + c);
      if (c >= a.C) {
        wrong += std::bit_cast<uint32_t>(e.x[at]) != std::bit_cast<uint32_t>(before[at]);
        continue;
      }
      const int code = EncodeValue(a.codec, before[at], e.ScaleAt(c), e.ZeroAt(c));
      const float value = DecodeValue(a.codec, code, e.ScaleAt(c), e.ZeroAt(c));
      wrong += LoadCode(a.codec, a.codes, t * a.C + c) != code;
      wrong += std::bit_cast<uint32_t>(e.x[at]) != std::bit_cast<uint32_t>(value);
    }
  }
  for (size_t i = e.codes.size() - 8; i < e.codes.size(); ++i) {
    wrong += e.codes[i] != 0xa5;
  }
  EXPECT_EQ(wrong, 0) << name << " " << CodecName(a.codec) << " C " << a.C;
}

void ExpectAllKernels(Encoded* e) {
  const std::vector<float> before = e->x;
  const int count = ForEachKernel<EncodeArgs>(e->args, [&](const std::string& name, auto& run) {
    e->x = before;
    e->args.x = e->x.data();
    run();
    ExpectNormative(*e, before, name);
  });
  EXPECT_GE(count, 2 * static_cast<int>(AvailableIsas().size()) - 1);
}

TEST(Encode, EveryKernelEqualsTheScalarsOnTenMillionFloats) {
  constexpr int64_t kEach = 10'000'000 / 6 / 4096 + 1;
  uint64_t seed = 1;
  for (const Codec codec : kCodecs) {
    if (codec == Codec::kUniform) continue;
    Encoded e(codec, {kEach, 4096, 0, 64}, ++seed);
    Rng rng(seed + 100);
    for (size_t i = 0; i < e.x.size(); ++i) {
      const auto c = static_cast<int64_t>(i % 4096);
      e.x[i] = Draw(&rng, codec, e.ScaleAt(c), e.ZeroAt(c));
    }
    ExpectAllKernels(&e);
  }
}

TEST(Encode, ShapesScalesAndSpecialValues) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float special[] = {nan,    -nan,    inf,    -inf,    0.0f,  -0.0f,
                           1e-45f, -1e-45f, 1e-39f, -1e-39f, 3e38f, -3e38f};
  uint64_t seed = 1000;
  for (const Codec codec : kCodecs) {
    if (codec == Codec::kUniform) continue;
    for (const Problem& p : {Problem{1, 1, 0, 1},
                             {3, 17, 2, 17},
                             {2, 64, 0, 2},
                             {4, 35, 3, 7},
                             {2, 48, 5, 3},
                             {1, 1536, 1, 24}}) {
      Encoded e(codec, p, ++seed);
      for (size_t i = 0; i < e.x.size(); ++i) {
        e.x[i] = special[(i * 7 + seed) % std::size(special)];
      }
      ExpectAllKernels(&e);
    }
  }
}

TEST(Encode, EitherOutputMayBeAbsent) {
  for (const Codec codec : kCodecs) {
    if (codec == Codec::kUniform) continue;
    Encoded both(codec, {2, 37, 0, 1}, 5);
    Rng rng(6);
    for (float& v : both.x) {
      v = rng.Uniform(-3, 9);
    }
    const std::vector<float> x = both.x;
    Kernels<EncodeArgs>().Pick(both.args, kReferenceOnly).run(both.args, {});
    ForEachKernel<EncodeArgs>(both.args, [&](const std::string& name, auto&) {
      for (const Kernel<EncodeArgs>* k : Kernels<EncodeArgs>().all()) {
        if (k->why_not(both.args) != nullptr) continue;
        Buffer scratch(k->scratch_bytes(both.args));
        std::vector<float> y(x.size(), -1.0f);
        std::vector<uint8_t> codes(both.codes.size(), 0xa5);
        EncodeArgs a = both.args;
        a.x = x.data();
        a.y = y.data();
        a.codes = nullptr;
        k->run(a, {scratch.data()});
        EXPECT_EQ(y, both.x) << name;
        a.y = nullptr;
        a.codes = codes.data();
        k->run(a, {scratch.data()});
        EXPECT_EQ(codes, both.codes) << name;
      }
    });
  }
}

}  // namespace
}  // namespace octet
