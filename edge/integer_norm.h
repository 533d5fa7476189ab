// LayerNorm of the residual stream in integers: normative, as edge/integer_s4d.h is, for edge/run.h
// and for the C of edge/c/.
//
// Ba et al. 2016: r[h] <- w[h] (r[h] - mean) / sqrt(variance + eps) + b[h] over the H heads. In
// integers, with Q = sum of (r - mean)^2 + H eps in place of the variance, `>>` an arithmetic
// shift:
//   S = sum_h r[h]                              int64
//   m = mean(S >> sum_shift)                    within 3 of S / H
//   d[h] = r[h] - m
//   e = the least shift that brings all d[h] >> e into -2^23 .. 2^23 - 1
//   v[h] = d[h] >> e
//   Q = (eps >> 2 e) + sum_h v[h]^2             uint64, at least 1: eps, or some |v| >= 2^22
//   q = floor(Q 4^-a), a integer, such that 2^30 <= q < 2^32
//   y = ReciprocalRoot(q)                       2^46 / sqrt(q)
//   n[h] = (v[h] y + 2^(15 + a)) >> (16 + a)    v / sqrt(Q) in units of 2^-30, -15 <= a <= 16
//   r[h] = bias[h] + scale[h](n[h])
// The factor sqrt(H) w[h] is in scale[h]. No step divides.
//
// No integer overflows: the stream keeps |r| below 1.5 2^29, so that, H being at most 2^16, |S| is
// below 2^46 and |d| below 2^31. v^2 <= 2^46, so that Q <= 2^62 + eps, and eps <= 2^61. v[h]^2 <= Q
// gives |n| <= kMostNormed: 2^30, and what rounding q and y adds. That scale[h](n) + bias[h] and
// what the next layer adds stay below 2^30 is what lowering makes the stream's scale for
// (edge/lower_norm.h).
//
// Next to real numbers of the same r: m moves all d by less than 3 units of the stream, e cuts off
// less than 2^-22 of the largest |d|, and 1 / sqrt(Q) is within 2^-27 of its value.
#ifndef OCTET_EDGE_INTEGER_NORM_H_
#define OCTET_EDGE_INTEGER_NORM_H_

#include <cstdint>
#include <span>
#include <vector>

#include "edge/requant.h"

namespace octet {

struct IntegerNorm {
  int sum_shift = 0;  // 2^sum_shift >= H
  Requant mean;       // 2^sum_shift / H
  int64_t eps = 1;    // H eps in squares of the stream's unit; 1 to 2^61
  // [H]
  std::vector<int32_t> bias;
  std::vector<Requant> scale;
  friend bool operator==(const IntegerNorm&, const IntegerNorm&) = default;
};

inline constexpr int kNormedBits = 23;  // of |v|
inline constexpr int64_t kMostNormed = (int64_t{1} << 30) + 16;
inline constexpr int64_t kMostNormedHeads = int64_t{1} << 16;

// 2^46 / sqrt(q) for 2^30 <= q < 2^32, within 2^-28 of it: four steps of Newton's method,
// y <- y (3 - q y^2) / 2 in units of 2^-30, each of its three products shifted by 31, from
// y = 35 2^26 - 5 (q >> 4), which is within an eighth.
uint32_t ReciprocalRoot(uint32_t q);

void Normalize(const IntegerNorm& norm, std::span<int32_t> r);

}  // namespace octet
#endif  // OCTET_EDGE_INTEGER_NORM_H_
