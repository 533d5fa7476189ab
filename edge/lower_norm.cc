#include "edge/lower_norm.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include <fmt/format.h>

namespace octet {
namespace {

constexpr double kMostEps = 0x1p61;
// Of |r|, with room for what roundings add to the 2^29 that lowering plans with.
constexpr double kMostStream = 0x1.8p29;

}  // namespace

double FloatNorm::Largest(size_t h) const {
  const auto heads = static_cast<double>(weight.size());
  return std::sqrt(heads) * std::fabs(static_cast<double>(weight[h])) +
         std::fabs(static_cast<double>(bias[h]));
}

double FloatNorm::LeastUnit() const {
  return std::sqrt(static_cast<double>(weight.size()) * eps / kMostEps);
}

Result<IntegerNorm> LowerNorm(const FloatNorm& norm, double unit) {
  const size_t H = norm.weight.size();
  if (std::ssize(norm.weight) > kMostNormedHeads) {
    return Unsupported(fmt::format("{}: integers normalize up to {} heads, not {}", norm.site,
                                   kMostNormedHeads, H));
  }
  IntegerNorm n;
  n.sum_shift = static_cast<int>(std::bit_width(H - 1));
  const auto heads = static_cast<double>(H);
  const double factor = std::exp2(n.sum_shift) / heads;
  OCTET_ASSIGN(n.mean, MakeRequant(factor, kMostStream / factor, norm.site));
  const double eps = std::nearbyint(heads * norm.eps / (unit * unit));
  n.eps = static_cast<int64_t>(std::clamp(eps, 1.0, kMostEps));
  const double root = std::sqrt(heads);
  for (size_t h = 0; h < H; ++h) {
    if (!(norm.Largest(h) / unit + 1 < kRequantLimit)) {
      return InvalidArgument(fmt::format(
          "{}, head {}: a weight of {:.4g} and a bias of {:.4g} do not fit into 30 bits", norm.site,
          h, norm.weight[h], norm.bias[h]));
    }
    const double factor_of_head = root * norm.weight[h] / (0x1p30 * unit);
    OCTET_ASSIGN(const Requant scale,
                 MakeRequant(factor_of_head, static_cast<double>(kMostNormed), norm.site));
    n.bias.push_back(static_cast<int32_t>(std::nearbyint(norm.bias[h] / unit)));
    n.scale.push_back(scale);
  }
  return n;
}

}  // namespace octet
