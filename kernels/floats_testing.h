// Vectors of floats, for the tests of kernels.
#ifndef OCTET_KERNELS_FLOATS_TESTING_H_
#define OCTET_KERNELS_FLOATS_TESTING_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/rng.h"

namespace octet::testing {

// n values, uniform in [-limit, limit).
inline std::vector<float> RandomFloats(int64_t n, float limit, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> v(static_cast<size_t>(n));
  for (float& e : v) {
    e = rng.Uniform(-limit, limit);
  }
  return v;
}

// What tells -0 from 0 and one NaN from another.
inline std::vector<uint32_t> Bits(const std::vector<float>& v) {
  std::vector<uint32_t> bits;
  for (const float e : v) {
    bits.push_back(std::bit_cast<uint32_t>(e));
  }
  return bits;
}

}  // namespace octet::testing
#endif  // OCTET_KERNELS_FLOATS_TESTING_H_
