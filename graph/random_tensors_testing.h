// Random weights for tests.
#ifndef OCTET_GRAPH_RANDOM_TENSORS_TESTING_H_
#define OCTET_GRAPH_RANDOM_TENSORS_TESTING_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "tensor/weights.h"

namespace octet {

inline std::vector<float> RandomVector(Rng* rng, int64_t n, float lo, float hi) {
  std::vector<float> v(static_cast<size_t>(n));
  for (float& e : v) {
    e = rng->Uniform(lo, hi);
  }
  return v;
}

// Sets tensors of uniform random numbers, in the order of the calls.
class RandomTensors {
 public:
  RandomTensors(uint64_t seed, WeightMap* weights) : rng_(seed), weights_(*weights) {}
  void operator()(const std::string& name, std::vector<int64_t> shape, float lo, float hi) {
    int64_t n = 1;
    for (const int64_t d : shape) {
      n *= d;
    }
    weights_.Set(name, MakeWeight(RandomVector(&rng_, n, lo, hi), std::move(shape)));
  }

 private:
  Rng rng_;
  WeightMap& weights_;
};

}  // namespace octet
#endif  // OCTET_GRAPH_RANDOM_TENSORS_TESTING_H_
