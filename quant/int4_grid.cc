#include "quant/int4_grid.h"

#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "quant/weight_codes.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

constexpr int64_t kMaxGroups = 64;
// Bounds of the search for a group's step, relative to 2 max|w| / 15.
constexpr float kLeastStep = 0.7f, kLargestStep = 1.1f;

// code - 8.
float Int4Level(float value, float inverse_step) {
  return std::clamp(std::nearbyintf(value * inverse_step), -8.0f, 7.0f);
}

float AbsMaxStep(const float* values, int64_t n) {
  float peak = 0;
  for (int64_t i = 0; i < n; ++i) {
    peak = std::max(peak, std::fabs(values[i]));
  }
  return 2.0f * peak / 15.0f;
}

double SquaredError(const float* values, int64_t n, float step) {
  const float inverse = 1.0f / step;
  double error = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float e = Int4Level(values[i], inverse) * step - values[i];
    error += static_cast<double>(e * e);
  }
  return error;
}

// The multiplier in the search range with the smallest squared error; ties go to the smaller one.
int BestMultiplier(const float* values, int64_t n, float base, float nearest) {
  const int first = static_cast<int>(std::max(1.0f, std::ceil(kLeastStep * nearest)));
  const int last = static_cast<int>(std::min(127.0f, std::ceil(kLargestStep * nearest)));
  int best = first;
  double least = SquaredError(values, n, base * static_cast<float>(first));
  for (int m = first + 1; m <= last; ++m) {
    const double error = SquaredError(values, n, base * static_cast<float>(m));
    if (error < least) {
      least = error;
      best = m;
    }
  }
  return best;
}

}  // namespace

int64_t Int4GroupWidth(int64_t columns, int64_t group) {
  return group * CeilDiv(CeilDiv(columns, group), kMaxGroups);
}

Int4Builder::Int4Builder(const std::vector<int64_t>& shape, int64_t group, Int4Step rule,
                         float headroom)
    : shape_(shape),
      columns_(shape[1]),
      group_(group),
      groups_(CeilDiv(columns_, group)),
      row_bytes_(BytesOf(DType::kI4, columns_)),
      rule_(rule),
      headroom_(rule == Int4Step::kLeastSquares ? headroom * kLargestStep : headroom) {
  const auto rows = static_cast<size_t>(shape[0]);
  // Unused high nibbles of odd rows hold the zero code.
  codes_.assign(rows * static_cast<size_t>(row_bytes_), std::byte{0x88});
  steps_.resize(rows);
  inverse_steps_.resize(rows);
  bases_ = std::make_shared<std::vector<float>>(rows);
  multipliers_ = std::make_shared<std::vector<uint8_t>>(rows * static_cast<size_t>(groups_));
}

void Int4Builder::BeginRow(int64_t r, const float* row) {
  float largest = 0;
  for (int64_t c = 0; c < columns_; c += group_) {
    largest = std::max(largest, AbsMaxStep(row + c, std::min(group_, columns_ - c)));
  }
  largest *= headroom_;
  (*bases_)[static_cast<size_t>(r)] = largest > 0 ? RoundScale(largest / 127.0f) : 1.0f;
}

void Int4Builder::BeginGroup(int64_t r, int64_t c, const float* values) {
  const auto row = static_cast<size_t>(r);
  const int64_t n = std::min(group_, columns_ - c);
  const float base = (*bases_)[row];
  const float nearest = std::min(127.0f, std::nearbyintf(AbsMaxStep(values, n) / base));
  const int m = rule_ == Int4Step::kLeastSquares ? BestMultiplier(values, n, base, nearest)
                                                 : static_cast<int>(std::max(1.0f, nearest));
  (*multipliers_)[static_cast<size_t>(r * groups_ + c / group_)] = static_cast<uint8_t>(m);
  steps_[row] = base * static_cast<float>(m);
  inverse_steps_[row] = 1.0f / steps_[row];
}

float Int4Builder::Encode(int64_t r, int64_t c, float value) {
  const auto row = static_cast<size_t>(r);
  const float level = Int4Level(value, inverse_steps_[row]);
  const auto code = static_cast<std::byte>(static_cast<int>(level) + 8);
  std::byte& byte = codes_[static_cast<size_t>(r * row_bytes_ + c / 2)];
  byte = c % 2 == 0 ? (byte & std::byte{0xf0}) | code : (byte & std::byte{0x0f}) | (code << 4);
  return level * steps_[row];
}

Weight Int4Builder::Finish() && {
  Weight q = MakeWeight(DType::kI4, std::move(codes_), std::move(shape_));
  q.row_scale = std::move(bases_);
  q.group_scale = std::move(multipliers_);
  q.group = group_;
  return q;
}

Weight QuantizeInt4Rtn(const Weight& w, int64_t group, Int4Step rule, ThreadPool* pool) {
  Int4Builder builder(w.shape, Int4GroupWidth(w.columns(), group), rule, 1.0f);
  ForEachRow(w, pool, [&](int64_t r, std::span<const float> row) {
    builder.BeginRow(r, row.data());
    for (int64_t c = 0; c < w.columns(); ++c) {
      if (c % builder.group() == 0) builder.BeginGroup(r, c, row.data() + c);
      builder.Encode(r, c, row[static_cast<size_t>(c)]);
    }
  });
  return std::move(builder).Finish();
}

}  // namespace octet
