// Soft-edge codes SE9, SE8U and SE8S: one scale s, three step sizes. s / 4 near zero, s in the
// middle, 4 s beyond, so that rare large values stay representable instead of saturating.
//
// SE9 is the three-segment code of Quamba-SE; SE8U and SE8S are one-byte forms of it
// (methods_edge 1.2, 1.3). With a = |x| / s, the quotient of fp32, and halves rounded away from 0:
//
//   segment   SE9 and SE8U          SE8S                  decoded
//   fine      a <= 15.75            a <= 7.75             round(4 a) s / 4
//   middle    a <= 143              a <= 71               round(a) s
//   coarse    above                 above                 (143 or 71 + 4 round((a - 143 or 71) /
//   4)) s ceiling   395 s (SE9)           199 s
//
// Every decoded value is an integer of at most 11 bits times s / 4, exact in fp32 for a scale of 12
// significant bits. Since x / s divides (no reciprocal), encoding a decoded value gives its code
// back. NaN has the code of zero, infinities those of the ends.
#ifndef OCTET_TENSOR_CODECS_SOFT_EDGE_H_
#define OCTET_TENSOR_CODECS_SOFT_EDGE_H_

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace octet {

// Magnitude codes m count up through the segments: [0, fine) step s / 4, [fine, coarse] step s,
// then step 4 s.
struct SoftEdge {
  int fine;    // first code of the middle segment, a multiple of 4
  int coarse;  // last code of the middle segment

  constexpr float fine_end() const { return 0.25f * static_cast<float>(fine - 1); }
  // What the middle codes add to round(a).
  constexpr int middle_offset() const { return fine - fine / 4; }
  constexpr float middle_end() const { return static_cast<float>(coarse - middle_offset()); }

  // Code of a >= 0 in units of s, at most `ceiling`; 0 for NaN.
  float Magnitude(float a, float ceiling) const {
    if (!(a > 0.0f)) return 0.0f;
    if (a <= fine_end()) return std::round(4.0f * a);
    if (a <= middle_end()) return std::round(a) + static_cast<float>(middle_offset());
    return std::min(static_cast<float>(coarse) + std::round(0.25f * (a - middle_end())), ceiling);
  }
  // Units of s / 4 that magnitude code m stands for; valid for negative codes of step s / 4 too.
  constexpr int Units(int m) const {
    return m + 3 * std::max(m - fine, 0) + 12 * std::max(m - coarse, 0);
  }
};

// Signed magnitude, 509 codes [-254, 254], two bytes.
inline constexpr SoftEdge kSoftEdge9 = {64, 191};
inline constexpr int kSe9MaxCode = 254;

// Signed magnitude, 255 codes [-127, 127], one byte, for tensors of both signs.
inline constexpr SoftEdge kSoftEdge8s = {32, 95};
inline constexpr int kSe8sMaxCode = 127;

inline int EncodeSignedSoftEdge(const SoftEdge& e, int max_code, float x, float scale) {
  const int m = static_cast<int>(e.Magnitude(std::fabs(x) / scale, static_cast<float>(max_code)));
  return x < 0.0f ? -m : m;
}
inline float DecodeSignedSoftEdge(const SoftEdge& e, int code, float scale) {
  const int units = e.Units(std::abs(code));
  return static_cast<float>(code < 0 ? -units : units) * (0.25f * scale);
}

// SE8U, one byte [0, 255], for tensors with a small negative side such as the output of SiLU:
// `zero` codes of step s / 4 below zero, the magnitude codes of SE9 above. The ceiling is (143 + 4
// (64 - zero)) s.
inline constexpr int kSe8uMaxZero = 63;

inline int EncodeSe8u(float x, float scale, int zero) {
  const float a = std::fabs(x) / scale;
  if (x < 0.0f) {
    return zero - static_cast<int>(std::min(std::round(4.0f * a), static_cast<float>(zero)));
  }
  return zero + static_cast<int>(kSoftEdge9.Magnitude(a, static_cast<float>(255 - zero)));
}
inline float DecodeSe8u(int code, float scale, int zero) {
  return static_cast<float>(kSoftEdge9.Units(code - zero)) * (0.25f * scale);
}

}  // namespace octet
#endif  // OCTET_TENSOR_CODECS_SOFT_EDGE_H_
