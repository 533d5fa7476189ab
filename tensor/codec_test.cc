// Contracts, for every code and many scales:
//  1. Encoding what a code decodes to gives the code back, for all codes, also through packed
//  bytes;
//     decoded values are exact, and equal the definition of methods_edge 1.2 to 1.6 in integers.
//  2. Codes rise with the value, across every border and its neighbours in fp32; the error of each
//     segment is at most half its step, and NaN, infinities and denormals have the codes that the
//     headers name.
//     QuantizeI8 rounds as nearbyint does, and saturates.
//  3. FitCodec makes every value of the range lie within half a step of a code (but for the soft
//     edges' percentile, the same), with scales of 12 bits; zeros beyond 63 enlarge the scale.
//  4. Units times their size are the values that the code can hold, and sums of their products are
//     exact up to the number of products that UnitSumsAreExact allows and no further.
//  5. On synthetic SiLU outputs the codes rank as the table of methods_edge 1.3 says.
#include "tensor/codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> ScalesToTry() {
  std::vector<float> scales = {1.0f, 0x1.0p-40f, RoundScale(0.0177f), 0x1.ffep-4f, 0x1.002p3f};
  Rng rng(1);
  for (int i = 0; i < 40; ++i) {
    scales.push_back(RoundScale(rng.Uniform(0.001f, 1.0f)));
  }
  return scales;
}

std::vector<int> ZerosToTry(Codec codec) {
  if (!HasZero(codec)) return {0};
  std::vector<int> zeros = {0, 1, 6, 31, 38, 62, 63};
  if (MaxZero(codec) == 255) zeros.insert(zeros.end(), {64, 95, 100, 191, 254, 255});
  return zeros;
}

// Value of a code in units of the finest step, from the segments of the document. `m`: how far from
// the code of zero.
int64_t UnitsOf(Codec codec, int m) {
  const int64_t sign = m < 0 ? -1 : 1, a = std::abs(m);
  switch (codec) {
    case Codec::kUniform:
    case Codec::kAsymmetric:
    case Codec::kInt16:
      return m;
    case Codec::kSe9:
    case Codec::kSe8u:  // h | 4 q, q = m - 48 | 4 (143 + 4 l), l = m - 191
      return sign * (a <= 63 ? a : a <= 191 ? 4 * (a - 48) : 4 * (143 + 4 * (a - 191)));
    case Codec::kSe8s:  // 32 codes of s / 4, 64 of s from 8 s, 32 of 4 s from 75 s
      return sign * (a <= 31 ? a : a <= 95 ? 4 * (8 + a - 32) : 4 * (75 + 4 * (a - 96)));
    case Codec::kSeg8: {  // 64 codes of step 1, then blocks of 32 whose step doubles
      if (m < 0) return m;
      int64_t units = 0;
      for (int64_t t = 1; t <= a; ++t) {
        units += t <= 64 ? 1 : int64_t{1} << ((t - 1) / 32 - 1);
      }
      return units;
    }
  }
  return 0;
}

double FinestStep(Codec codec, float scale) {
  const bool quarter = codec == Codec::kInt16 || codec == Codec::kSe9 || codec == Codec::kSe8u ||
                       codec == Codec::kSe8s;
  return quarter ? static_cast<double>(scale) / 4 : static_cast<double>(scale);
}

template <class Body>
void ForEachCode(const Body& body) {
  for (const Codec codec : kCodecs) {
    for (const float scale : ScalesToTry()) {
      for (const int zero : ZerosToTry(codec)) {
        body(codec, scale, zero);
      }
    }
  }
}

TEST(Codec, NamesParse) {
  std::set<std::string> names;
  for (const Codec codec : kCodecs) {
    ASSERT_TRUE(ParseCodec(CodecName(codec)).ok());
    EXPECT_EQ(*ParseCodec(CodecName(codec)), codec);
    names.insert(CodecName(codec));
  }
  EXPECT_EQ(names,
            (std::set<std::string>{"int8", "uint8", "int16", "se9", "se8u", "se8s", "seg8"}));
  for (const char* name : {"", "INT8", "se8", "int", "fp8"}) {
    const Status s = ParseCodec(name).status();
    EXPECT_EQ(s.code(), Code::kInvalidArgument) << name;
    EXPECT_NE(s.message().find("se8u"), std::string::npos);
  }
}

TEST(Codec, EveryCodeIsExactAndComesBack) {
  ForEachCode([](Codec codec, float scale, int zero) {
    std::vector<int16_t> packed(1);
    for (int code = MinCode(codec); code <= MaxCode(codec); ++code) {
      const float value = DecodeValue(codec, code, scale, zero);
      const int64_t units = UnitsOf(codec, HasZero(codec) ? code - zero : code);
      ASSERT_EQ(static_cast<double>(value), static_cast<double>(units) * FinestStep(codec, scale))
          << CodecName(codec) << " " << code << " scale " << scale << " zero " << zero;
      ASSERT_EQ(EncodeValue(codec, value, scale, zero), code)
          << CodecName(codec) << " scale " << scale << " zero " << zero;
      ASSERT_EQ(FakeQuantize(codec, value, scale, zero), value);
      StoreCode(codec, code, packed.data(), 0);
      ASSERT_EQ(LoadCode(codec, packed.data(), 0), code);
    }
  });
}

TEST(Units, AreTheValuesInFinestSteps) {
  Rng rng(3);
  ForEachCode([&](Codec codec, float scale, int zero) {
    if (HasZero(codec)) {
      ASSERT_EQ(MaxUnits(codec), 0);
      return;
    }
    ASSERT_EQ(static_cast<double>(UnitOf(codec, scale)), FinestStep(codec, scale));
    ASSERT_EQ(RoundScale(UnitOf(codec, 8 * scale)), UnitOf(codec, 8 * scale));
    for (int code = MinCode(codec); code <= MaxCode(codec); ++code) {
      const float value = DecodeValue(codec, code, scale, zero);
      ASSERT_EQ(EncodeUnits(codec, value, scale), UnitsOf(codec, code)) << CodecName(codec) << code;
    }
    ASSERT_EQ(EncodeUnits(codec, kInf, scale), MaxUnits(codec));
    ASSERT_EQ(EncodeUnits(codec, -kInf, scale), -MaxUnits(codec));
    for (int i = 0; i < 50; ++i) {
      const float x = scale * rng.Uniform(-420.0f, 420.0f);
      ASSERT_EQ(static_cast<float>(EncodeUnits(codec, x, scale)) * UnitOf(codec, scale),
                FakeQuantize(codec, x, scale, 0))
          << CodecName(codec) << " " << x;
    }
  });
}

TEST(Units, SumsAreExactBelowTwoToThe29) {
  const std::map<Codec, int64_t> largest = {
      {Codec::kUniform, 127}, {Codec::kSe8s, 796}, {Codec::kSe9, 1580}, {Codec::kInt16, 1580}};
  for (const Codec codec : kCodecs) {
    const auto it = largest.find(codec);
    EXPECT_EQ(UnitSumsAreExact(codec, 1), it != largest.end()) << CodecName(codec);
    if (it == largest.end()) continue;
    EXPECT_EQ(MaxUnits(codec), it->second) << CodecName(codec);
    const int64_t products = ((int64_t{1} << 29) - 1) / (it->second * 127);
    EXPECT_TRUE(UnitSumsAreExact(codec, products)) << CodecName(codec);
    EXPECT_FALSE(UnitSumsAreExact(codec, products + 1)) << CodecName(codec);
  }
}

TEST(Codec, CountsOfCodesAndCeilings) {
  // 509 values of SE9 up to 395 s, 255 of SE8S up to 199 s, and SE8U's (143 + 4 (64 - Z)) s.
  EXPECT_EQ(MaxCode(Codec::kSe9) - MinCode(Codec::kSe9) + 1, 509);
  EXPECT_EQ(FakeQuantize(Codec::kSe9, kInf, 1.0f, 0), 395.0f);
  EXPECT_EQ(FakeQuantize(Codec::kSe9, -kInf, 0.5f, 0), -197.5f);
  EXPECT_EQ(FakeQuantize(Codec::kInt16, kInf, 1.0f, 0), 395.0f);
  EXPECT_EQ(FakeQuantize(Codec::kSe8s, kInf, 1.0f, 0), 199.0f);
  for (const int zero : {1, 6, 38, 63}) {
    EXPECT_EQ(FakeQuantize(Codec::kSe8u, kInf, 1.0f, zero), 143.0f + 4.0f * (64.0f - zero));
    EXPECT_EQ(FakeQuantize(Codec::kSe8u, -kInf, 1.0f, zero), -0.25f * zero);
  }
  EXPECT_EQ(CodeBytes(Codec::kSe9), 2);
  EXPECT_EQ(CodeBytes(Codec::kInt16), 2);
  for (const Codec codec :
       {Codec::kUniform, Codec::kAsymmetric, Codec::kSe8u, Codec::kSe8s, Codec::kSeg8}) {
    EXPECT_EQ(CodeBytes(codec), 1);
    EXPECT_LE(MaxCode(codec) - MinCode(codec), 255);
  }
}

// All borders between codes, their neighbours in fp32, and values between: in ascending order.
std::vector<float> Grid(Codec codec, float scale, int zero) {
  std::vector<float> grid = {-kInf,  -std::numeric_limits<float>::max(), -1e-42f, -0.0f, 0.0f,
                             1e-42f, std::numeric_limits<float>::max(),  kInf};
  const auto around = [&](float v) {
    grid.insert(grid.end(), {std::nextafter(v, -kInf), v, std::nextafter(v, kInf)});
  };
  for (int code = MinCode(codec); code <= MaxCode(codec); ++code) {
    const float v = DecodeValue(codec, code, scale, zero);
    around(v);
    if (code < MaxCode(codec)) around(0.5f * (v + DecodeValue(codec, code + 1, scale, zero)));
  }
  for (const float border : {7.75f, 15.75f, 71.0f, 143.0f}) {
    around(border * scale);
    around(-border * scale);
  }
  std::ranges::sort(grid);
  return grid;
}

TEST(Codec, CodesRiseWithTheValue) {
  ForEachCode([](Codec codec, float scale, int zero) {
    int last = MinCode(codec);
    for (const float v : Grid(codec, scale, zero)) {
      const int code = EncodeValue(codec, v, scale, zero);
      ASSERT_GE(code, last) << CodecName(codec) << " " << v << " scale " << scale;
      last = code;
    }
    ASSERT_EQ(EncodeValue(codec, -kInf, scale, zero), MinCode(codec));
    ASSERT_EQ(EncodeValue(codec, kInf, scale, zero), MaxCode(codec));
  });
}

// Half a step of the segment that holds a = |v| / scale.
double HalfStep(Codec codec, double a) {
  switch (codec) {
    case Codec::kUniform:
    case Codec::kAsymmetric:
      return 0.5;
    case Codec::kInt16:
      return 0.125;
    case Codec::kSe9:
    case Codec::kSe8u:
      return a <= 15.75 ? 0.125 : a <= 143 ? 0.5 : 2;
    case Codec::kSe8s:
      return a <= 7.75 ? 0.125 : a <= 71 ? 0.5 : 2;
    case Codec::kSeg8:
      return a < 64 ? 0.5 : std::exp2(std::floor(std::log2(a)) - 6);
  }
  return 0;
}

TEST(Codec, ErrorsStayWithinHalfAStepOfTheirSegment) {
  ForEachCode([](Codec codec, float scale, int zero) {
    const double s = scale;
    const double low = DecodeValue(codec, MinCode(codec), scale, zero);
    const double high = DecodeValue(codec, MaxCode(codec), scale, zero);
    for (const float v : Grid(codec, scale, zero)) {
      if (v < low || v > high) continue;
      const double error = std::fabs(static_cast<double>(FakeQuantize(codec, v, scale, zero)) - v);
      // Quotients and products of fp32 move v by at most 2^-22 of itself.
      ASSERT_LE(error, s * HalfStep(codec, std::fabs(v) / s) + std::fabs(v) * 0x1.0p-22)
          << CodecName(codec) << " " << v << " scale " << scale << " zero " << zero;
    }
  });
}

TEST(Codec, HalvesRoundAwayInSoftEdgesAndToEvenInUniformCodes) {
  for (const Codec codec : {Codec::kSe9, Codec::kSe8s, Codec::kSe8u}) {
    EXPECT_EQ(FakeQuantize(codec, 0.125f, 1.0f, 63), 0.25f);
    EXPECT_EQ(FakeQuantize(codec, -0.125f, 1.0f, 63), -0.25f);
    EXPECT_EQ(FakeQuantize(codec, 0.625f, 1.0f, 63), 0.75f);
    EXPECT_EQ(FakeQuantize(codec, 20.5f, 1.0f, 63), 21.0f);
  }
  EXPECT_EQ(FakeQuantize(Codec::kSe9, 145.0f, 1.0f, 0), 147.0f);
  EXPECT_EQ(FakeQuantize(Codec::kSeg8, 2.5f, 1.0f, 9), 3.0f);
  EXPECT_EQ(FakeQuantize(Codec::kSeg8, -2.5f, 1.0f, 9), -3.0f);
  EXPECT_EQ(FakeQuantize(Codec::kSeg8, 65.0f, 1.0f, 9), 66.0f);
  for (const Codec codec : {Codec::kUniform, Codec::kAsymmetric}) {
    EXPECT_EQ(FakeQuantize(codec, 2.5f, 1.0f, 9), 2.0f);
    EXPECT_EQ(FakeQuantize(codec, -3.5f, 1.0f, 9), -4.0f);
  }
  EXPECT_EQ(FakeQuantize(Codec::kInt16, 0.125f, 1.0f, 0), 0.0f);
  EXPECT_EQ(FakeQuantize(Codec::kInt16, 0.375f, 1.0f, 0), 0.5f);
}

TEST(Codec, NanIsZeroAndDenormalsRoundToIt) {
  ForEachCode([](Codec codec, float scale, int zero) {
    if (codec != Codec::kUniform) {
      EXPECT_EQ(DecodeValue(codec, EncodeValue(codec, kNan, scale, zero), scale, zero), 0.0f);
      EXPECT_EQ(EncodeValue(codec, -kNan, scale, zero), HasZero(codec) ? zero : 0);
    }
    for (const float v : {0.0f, -0.0f, 1e-45f, -1e-45f, 1e-39f, -1e-39f}) {
      EXPECT_EQ(std::bit_cast<uint32_t>(FakeQuantize(codec, v, scale, zero)), 0u) << "not -0";
    }
  });
}

TEST(QuantizeI8, IsNearbyintWithinItsCodes) {
  const auto expect = [](float t) {
    const int want =
        std::isnan(t) ? -127 : static_cast<int>(std::clamp(std::nearbyint(t), -127.0f, 127.0f));
    EXPECT_EQ(QuantizeI8(t, 1.0f), want) << t;
  };
  for (const float t : {kNan, -kNan, kInf, -kInf, 0.0f, -0.0f, 1e-45f, 3e38f, -3e38f}) {
    expect(t);
  }
  for (float t = -130.0f; t <= 130.0f; t += 0.5f) {  // every half, and its neighbours
    for (const float near : {std::nextafter(t, -kInf), t, std::nextafter(t, kInf)}) {
      expect(near);
    }
  }
}

TEST(Codec, RangeEndsHalfAStepBeyondTheCodes) {
  const auto range = [](Codec codec, int zero) { return CodecRange(codec, 2.0f, zero); };
  EXPECT_EQ(range(Codec::kUniform, 0).high, 255.0f);
  EXPECT_EQ(range(Codec::kUniform, 0).low, -255.0f);
  EXPECT_EQ(range(Codec::kSe9, 0).high, 2 * 397.0f);
  EXPECT_EQ(range(Codec::kSe8u, 10).low, -2 * 10.5f / 4);
  EXPECT_EQ(range(Codec::kSe8u, 10).high, 2 * (143 + 4 * 54 + 2.0f));
  EXPECT_EQ(range(Codec::kAsymmetric, 10).low, -21.0f);
  EXPECT_EQ(range(Codec::kSeg8, 0).high, 2 * (63 * 64 + 32.0f));
}

TEST(Fit, HoldsTheRange) {
  Rng rng(3);
  for (int i = 0; i < 2000; ++i) {
    const float high = rng.Uniform(0, 8) * rng.Uniform(0, 4);
    const float low = i % 3 == 0   ? -0.2784645f
                      : i % 3 == 1 ? -rng.Uniform(0, 30)
                                   : rng.Uniform(-1, 3);
    for (const Codec codec : kCodecs) {
      const CodecFit fit = FitCodec(codec, {low, high});
      EXPECT_EQ(RoundScale(fit.scale), fit.scale);
      EXPECT_GE(fit.zero, 0);
      EXPECT_LE(fit.zero, MaxZero(codec));
      const ValueRange r = CodecRange(codec, fit.scale, fit.zero);
      EXPECT_LE(r.low, std::min(low, 0.0f)) << CodecName(codec) << " " << low << " " << high;
      EXPECT_GE(r.high, std::max(high, 0.0f)) << CodecName(codec) << " " << low << " " << high;
    }
  }
}

TEST(Fit, FollowsTheDocumentedRules) {
  for (const Codec codec : {Codec::kUniform, Codec::kSe9, Codec::kInt16, Codec::kSe8u}) {
    EXPECT_EQ(FitCodec(codec, {-0.25f, 12.7f}).scale, RoundScale(12.7f / 127)) << CodecName(codec);
  }
  EXPECT_EQ(FitCodec(Codec::kSe8s, {-7.1f, 3.0f}).scale, RoundScale(7.1f / 71));
  EXPECT_EQ(FitCodec(Codec::kAsymmetric, {-1.0f, 254.0f}).scale, 1.0f);
  EXPECT_EQ(FitCodec(Codec::kAsymmetric, {-1.0f, 254.0f}).zero, 1);
  // SE8U: Z = ceil(0.2784645 / (s / 4)), and 63 is the most: then s is 4 |low| / 63.
  const CodecFit typical = FitCodec(Codec::kSe8u, {-0.2784645f, 12.7f});
  EXPECT_EQ(typical.zero, std::ceil(4 * 0.2784645 / static_cast<double>(typical.scale)));
  EXPECT_EQ(typical.zero, 12);
  const CodecFit crowded = FitCodec(Codec::kSe8u, {-0.2784645f, 1.0f});
  EXPECT_EQ(crowded.zero, 63);
  EXPECT_EQ(crowded.scale, RoundScale(4 * 0.2784645f / 63));
  EXPECT_NEAR(crowded.scale, 0.0177, 0.0001);
  // SEG8: no smaller step of 12 bits holds both ends.
  for (const float high : {1.0f, 5.0f, 40.0f, 900.0f}) {
    const CodecFit fit = FitCodec(Codec::kSeg8, {-0.2784645f, high});
    const auto holds = [&](float scale) {
      const int zero = static_cast<int>(std::ceil(0.2784645 / static_cast<double>(scale)));
      return zero <= 255 && DecodeValue(Codec::kSeg8, 255, scale, zero) >= high;
    };
    EXPECT_TRUE(holds(fit.scale)) << high;
    EXPECT_FALSE(holds(std::bit_cast<float>(std::bit_cast<uint32_t>(fit.scale) - 0x1000u))) << high;
  }
  for (const Codec codec : kCodecs) {
    EXPECT_EQ(FitCodec(codec, {0.0f, 0.0f}).scale, 1.0f);
  }
}

// SiLU of normal values with a Student t tail of `freedom` degrees.
std::vector<float> SyntheticSilu(int freedom) {
  Rng rng(17);
  const auto normal = [&] {  // Box and Muller
    const double u = 1.0 - static_cast<double>(rng.Uniform(0, 1));
    return std::sqrt(-2 * std::log(std::max(u, 1e-12))) *
           std::cos(6.283185307179586 * static_cast<double>(rng.Uniform(0, 1)));
  };
  std::vector<float> values(200000);
  for (float& v : values) {
    double chi = 0;
    for (int i = 0; i < freedom; ++i) {
      chi += std::pow(normal(), 2);
    }
    const double x = 1.5 * normal() / std::sqrt(chi / freedom);
    v = static_cast<float>(x / (1 + std::exp(-x)));
  }
  return values;
}

// Decibels with the best of a few scales around the fitted one.
double Sqnr(Codec codec, const std::vector<float>& values) {
  const auto [low, high] = std::ranges::minmax(values);
  double power = 0;
  for (const float v : values) {
    power += static_cast<double>(v) * static_cast<double>(v);
  }
  double best = 0;
  // SEG8 covers its range by rule; the others are searched as the table's "best scale" is.
  const int steps = codec == Codec::kSeg8 ? 1 : 16;
  for (int i = 0; i < steps; ++i) {
    const CodecFit fit = FitCodec(codec, {low, high * std::exp2(-0.25f * static_cast<float>(i))});
    double error = 0;
    for (const float v : values) {
      error += std::pow(
          static_cast<double>(FakeQuantize(codec, v, fit.scale, fit.zero)) - static_cast<double>(v),
          2);
    }
    best = std::max(best, 10 * std::log10(power / error));
  }
  return best;
}

TEST(Codec, RanksOnSiluOutputsAsPublished) {
  for (const int freedom : {3, 6}) {
    const std::vector<float> values = SyntheticSilu(freedom);
    std::map<Codec, double> db;
    for (const Codec codec : kCodecs) {
      db[codec] = Sqnr(codec, values);
      RecordProperty(CodecName(codec), std::to_string(db[codec]));
    }
    // The table's gaps, rounded down: UINT8 3.4 dB above INT8, the soft edge 8 above that, SEG8
    // 3.4 above it. Sixteen bits of the same range lose to none of the soft edges.
    EXPECT_GT(db[Codec::kAsymmetric], db[Codec::kUniform] + 3) << freedom;
    EXPECT_GT(db[Codec::kSe8u], db[Codec::kAsymmetric] + 6) << freedom;
    EXPECT_GT(db[Codec::kSeg8], db[Codec::kSe8u] + 2) << freedom;
    EXPECT_GT(db[Codec::kSe8s], db[Codec::kUniform] + 5) << freedom;
    EXPECT_GE(db[Codec::kSe9], db[Codec::kSe8u] - 1e-9) << freedom;
    EXPECT_GE(db[Codec::kInt16], db[Codec::kSe9]) << freedom;
  }
}

}  // namespace
}  // namespace octet
