// Random numbers that are the same on every platform and standard library.
#ifndef OCTET_BASE_RNG_H_
#define OCTET_BASE_RNG_H_

#include <cstdint>

namespace octet {

// SplitMix64 (Steele et al. 2014): small, seedable, and fully specified, unlike std distributions.
class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  // Uniform in [0, 1), 53 bits.
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  // Uniform in [lo, hi).
  float Uniform(float lo, float hi) { return lo + static_cast<float>(Uniform()) * (hi - lo); }
  // Uniform integer in [0, n), 1 <= n < 2^32 (bias below n / 2^32).
  uint64_t Below(uint64_t n) { return ((Next() >> 32) * n) >> 32; }

 private:
  uint64_t state_;
};

}  // namespace octet
#endif  // OCTET_BASE_RNG_H_
