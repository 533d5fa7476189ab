#include "edge/lower_linear.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <utility>

#include <fmt/format.h>

namespace octet {
namespace {

constexpr int64_t kMost = std::numeric_limits<int32_t>::max();

// Codes of 4 bits two to a byte; rows begin at whole bytes.
std::vector<int8_t> Pack(const MatrixCodes& matrix, int64_t begin, int64_t end, bool packed) {
  std::vector<int8_t> bytes;
  for (int64_t i = begin; i < end; ++i) {
    const int32_t* row = matrix.w.data() + i * matrix.columns;
    for (int64_t j = 0; j < matrix.columns; j += packed ? 2 : 1) {
      const int32_t high = packed && j + 1 < matrix.columns ? row[j + 1] : 0;
      bytes.push_back(packed ? static_cast<int8_t>((row[j] & 15) | (high & 15) << 4)
                             : static_cast<int8_t>(row[j]));
    }
  }
  return bytes;
}

// What a sum with scale 0 is counted in: fine enough for its bias, which is all that it has.
double UnitOf(double scale, float bias) {
  return scale > 0 ? scale : std::max(std::fabs(static_cast<double>(bias)), 1e-30) * 0x1p-24;
}

}  // namespace

Result<IntegerSums> LowerSums(const std::string& site, const MatrixCodes& matrix,
                              const std::vector<float>& bias, int64_t begin, int64_t end,
                              const AffineCode& x, int32_t low, int32_t high) {
  IntegerSums sums;
  sums.site = site;
  IntegerLinear& l = sums.linear;
  l.rows = end - begin;
  l.columns = matrix.columns;
  l.packed = matrix.bits <= 4;
  l.w = Pack(matrix, begin, end, l.packed);
  const bool shared = matrix.codes.size() == 1 && matrix.codes[0].scale > 0 && x.scale > 0;
  const auto x_zero = static_cast<int64_t>(x.zero);
  const int64_t most_x = std::max(std::abs(low), std::abs(high));
  for (int64_t i = begin; i < end; ++i) {
    const AffineCode& code = matrix.codes[matrix.codes.size() == 1 ? 0 : static_cast<size_t>(i)];
    const int64_t zero = code.scale > 0 ? static_cast<int64_t>(code.zero) : 0;
    const float b = bias.empty() ? 0.0f : bias[static_cast<size_t>(i)];
    const double unit = UnitOf(static_cast<double>(code.scale) * x.scale, b);
    int64_t plain = 0, total = 0, centred = 0;  // sums of |w|, w - zero and |w - zero|
    for (int64_t j = 0; j < matrix.columns; ++j) {
      const int64_t w = matrix.w[static_cast<size_t>(i * matrix.columns + j)];
      plain += std::abs(w);
      total += w - zero;
      centred += std::abs(w - zero);
    }
    // Cut off where it is too large in any case.
    const auto own = static_cast<int64_t>(std::clamp(std::nearbyint(b / unit), -0x1p60, 0x1p60));
    const int64_t folded = own - x_zero * total;
    const int64_t most = std::abs(folded) + (plain + std::abs(zero) * matrix.columns) * most_x;
    if (most > kMost) {
      return InvalidArgument(
          fmt::format("{}, row {}: a bias of {:.4g} and {} products reach {}, beyond 32 bits", site,
                      i, b, matrix.columns, most));
    }
    l.bias.push_back(static_cast<int32_t>(folded));
    const int64_t from_zero = std::max(std::abs(low - x_zero), std::abs(high - x_zero));
    sums.bound.push_back(std::min(most, std::abs(own) + centred * from_zero));
    if (shared && i != begin) continue;
    l.zero.push_back(static_cast<int32_t>(zero));
    sums.unit.push_back(unit);
  }
  return sums;
}

Result<IntegerLinear> WithUnit(IntegerSums sums, double unit) {
  IntegerLinear l = std::move(sums.linear);
  for (size_t i = 0; i < sums.unit.size(); ++i) {
    const int64_t bound =
        sums.unit.size() == 1 ? *std::ranges::max_element(sums.bound) : sums.bound[i];
    OCTET_ASSIGN(const Requant scale,
                 MakeRequant(sums.unit[i] / unit, static_cast<double>(bound), sums.site));
    l.scale.push_back(scale);
  }
  return l;
}

}  // namespace octet
