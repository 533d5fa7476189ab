// Contracts:
//  1. In every form coefficients are what they are of, rounded: A to half a unit of its bits of
//     fraction, B to half a unit or, packed, to 2^-9 of the mode's own; and what is packed fits.
//  2. The first form in which no pole moves by more than a sixteenth of its distance from the unit
//     circle, and no more bits of fraction than the sums have room for; a plain layer says why.
//  3. States that one input fills beyond 32 bits are refused with head and mode.
#include "edge/lower_modes.h"

#include <cmath>

#include <gmock/gmock.h>

#include "base/rng.h"

namespace octet {
namespace {

using testing::HasSubstr;
using Complex = std::complex<double>;

FloatMode ModeAt(double distance, double angle, Complex b) {
  return {std::polar(1 - distance, angle), b, 1};
}

// Two heads of two modes; the last at `distance` and `angle`.
FloatModes Example(double distance, double angle, int32_t most_state) {
  FloatModes f;
  f.site = "layers.0.x";
  f.modes = {ModeAt(0.1, 1, {0.3, -2}), ModeAt(0.01, 3, {1e-3, 2e-3}), ModeAt(0.02, 0.01, {0.1, 0}),
             ModeAt(distance, angle, {-0.7, 0.004})};
  f.most_u = {127, 200};
  f.most_state = most_state;
  return f;
}

double Unit(int bits) {
  return std::ldexp(1, -bits);
}

// The largest sum of any mode, without its rounding.
double MostSum(const FloatModes& f, const IntegerLayer& l, size_t i) {
  const IntegerHead& head = l.heads[i / 2];
  const double B = std::max(std::fabs(l.B[2 * i]), std::fabs(l.B[2 * i + 1]));
  return (std::fabs(l.A[2 * i]) + std::fabs(l.A[2 * i + 1])) * f.most_state +
         std::ldexp(B, head.b_shift) * static_cast<double>(f.most_u[i / 2]);
}

void ExpectRounded(const FloatModes& f, const IntegerLayer& l) {
  for (size_t i = 0; i < f.modes.size(); ++i) {
    const IntegerHead& head = l.heads[i / 2];
    const auto at = [&](const std::vector<int32_t>& v, int bits) {
      return Complex(v[2 * i] * Unit(bits), v[2 * i + 1] * Unit(bits));
    };
    const Complex A = at(l.A, head.k), b = at(l.B, head.k - head.b_shift);
    EXPECT_LE(std::abs(A.real() - f.modes[i].A.real()), Unit(head.k + 1));
    EXPECT_LE(std::abs(A.imag() - f.modes[i].A.imag()), Unit(head.k + 1));
    const double half = Unit(head.k - head.b_shift + 1);
    const double allowed = l.packed ? std::max(half, std::abs(f.modes[i].b) * Unit(9)) : half;
    EXPECT_LE(std::abs(b.real() - f.modes[i].b.real()), allowed) << i;
    EXPECT_LE(std::abs(b.imag() - f.modes[i].b.imag()), allowed) << i;
    EXPECT_LT(MostSum(f, l, i) + std::ldexp(1, head.k), l.wide ? 0x1p63 : 0x1p31);
    if (!l.packed) continue;
    EXPECT_LE(std::fabs(l.A[2 * i] - (head.near_one ? 1 / Unit(head.k) : 0)), kMostPackedA);
    EXPECT_LE(std::abs(l.A[2 * i + 1]), kMostPackedA);
    int64_t unit = 1;
    while (std::max(std::abs(l.B[2 * i] / unit), std::abs(l.B[2 * i + 1] / unit)) > kMostPackedB) {
      unit *= 2;
    }
    EXPECT_LE(unit, 1 << kMostPackedShift);
    EXPECT_EQ(l.B[2 * i] % unit, 0);
    EXPECT_EQ(l.B[2 * i + 1] % unit, 0);
  }
}

struct Case {
  double distance, angle;
  int32_t most_state;
  bool packed, wide;
};

TEST(LowerModes, TakesTheFirstFormThatKeepsPoles) {
  for (const Case& c : {
           Case{0.01, 2, 127, true, false},            // 19 bits
           Case{0x1p-14, 2, 127, true, false},         // a unit is 1/32 of the distance
           Case{0x1.3p-18, 2.001, 127, false, false},  // 22 bits
           Case{0x1p-18, 0.01, 127, true, false},      // near one
           Case{0x1p-26, 2, 127, false, true},         // 30 bits
           Case{0.01, 2, 32767, true, false},          // 15 bits
           Case{0x1p-15, 2.001, 32767, true, true},    // 19 bits
           Case{0x1p-20, 2, 32767, false, true},
       }) {
    SCOPED_TRACE(testing::Message() << c.distance << " " << c.angle << " " << c.most_state);
    const FloatModes f = Example(c.distance, c.angle, c.most_state);
    IntegerLayer l;
    const Status s = LowerModes(f, &l);
    ASSERT_TRUE(s.ok()) << s.message();
    EXPECT_EQ(l.packed, c.packed);
    EXPECT_EQ(l.wide, c.wide);
    EXPECT_EQ(l.plain_because.empty(), l.packed);
    ExpectRounded(f, l);
    const Complex last(l.A[6] * Unit(l.heads[1].k), l.A[7] * Unit(l.heads[1].k));
    if (l.packed || !l.wide) {
      EXPECT_LE(std::abs(last - f.modes[3].A), c.distance / 16);
    }
    EXPECT_THAT(l.plain_because, HasSubstr(l.packed ? "" : "layers.0.x, head 1, mode 1: "));
    EXPECT_EQ(l.heads[1].near_one, l.packed && c.angle == 0.01);
    EXPECT_FALSE(l.heads[0].near_one);
    // One more bit would not fit; wide and plain ones have 30.
    if (l.wide) continue;
    const double sum = std::max(MostSum(f, l, 2), MostSum(f, l, 3));
    EXPECT_TRUE(sum > 0x1p30 || l.heads[1].near_one || l.heads[1].k == 19) << l.heads[1].k;
  }
}

TEST(LowerModes, RoundsRandomModes) {
  Rng rng(4);
  for (int i = 0; i < 300; ++i) {
    FloatModes f =
        Example(std::exp2(rng.Uniform(-24, -3)), rng.Uniform(0, 3), i % 2 == 0 ? 127 : 32767);
    for (FloatMode& m : f.modes) {
      m.b *= std::exp2(rng.Uniform(-12, 18));
    }
    IntegerLayer l;
    const Status s = LowerModes(f, &l);
    ASSERT_TRUE(s.ok()) << s.message();
    ExpectRounded(f, l);
  }
}

TEST(LowerModes, RefusesWhatOneInputFills) {
  FloatModes f = Example(0.1, 1, 127);
  f.modes[1].b = {0, 0x1p25};
  IntegerLayer l;
  const Status s = LowerModes(f, &l);
  EXPECT_EQ(s.code(), Code::kInvalidArgument);
  EXPECT_THAT(s.message(), HasSubstr("layers.0.x, head 0, mode 1: one input moves"));
}

}  // namespace
}  // namespace octet
