// Multiplication by a constant in integers: the one rounding of an integer model.
#ifndef OCTET_EDGE_REQUANT_H_
#define OCTET_EDGE_REQUANT_H_

#include <cmath>
#include <cstdint>
#include <string>

#include <fmt/format.h>

#include "base/status.h"

namespace octet {

// A factor m * 2^(shift - 31) with |m| in [2^30, 2^31), or 0. Applied to an int32 v it is
//   ((v * m >> (30 - shift)) + 1) >> 1      in int64, with arithmetic shifts
// that is floor(v m 2^(shift - 31) + 1/2) but for what the first shift cuts off: the single
// rounding of CMSIS-NN (CMSIS_NN_USE_SINGLE_ROUNDING) and of TensorFlow Lite's builds that ask for
// it. The double rounding of other builds differs by 1 in about a thousandth of the results.
struct Requant {
  int32_t m = 0;
  int8_t shift = 0;  // -32 to 30

  int64_t operator()(int64_t v) const { return ((v * m >> (30 - shift)) + 1) >> 1; }
  friend bool operator==(const Requant&, const Requant&) = default;
};

// Results stay below this.
inline constexpr double kRequantLimit = 0x1p30;

// The nearest Requant of `factor`, for |v| <= `bound` < 2^31. kInvalidArgument, with `site`, if a
// result could reach kRequantLimit. Factors too small for any v to matter become 0.
inline Result<Requant> MakeRequant(double factor, double bound, const std::string& site) {
  if (!(bound < 0x1p31 && std::fabs(factor) * bound + 1 < kRequantLimit)) {
    return InvalidArgument(
        fmt::format("{}: integers up to {:.4g} times {:.4g} do not fit into 30 bits: its range is "
                    "too small for "
                    "what enters it",
                    site, bound, factor));
  }
  int exponent = 0;
  const double fraction = std::frexp(factor, &exponent);
  double m = std::nearbyint(fraction * 0x1p31);
  if (std::fabs(m) == 0x1p31) {
    m /= 2;
    ++exponent;
  }
  if (m == 0 || exponent < -32) return Requant{};
  // A factor beyond 2^30 has a bound of 0: nothing to multiply.
  if (exponent > 30) return Requant{};
  return Requant{static_cast<int32_t>(m), static_cast<int8_t>(exponent)};
}

}  // namespace octet
#endif  // OCTET_EDGE_REQUANT_H_
