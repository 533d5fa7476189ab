// How many bytes a quantized S4D classifier takes, tensor by tensor.
#ifndef OCTET_QUANT_S4D_SIZES_H_
#define OCTET_QUANT_S4D_SIZES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/status.h"
#include "graph/graph.h"
#include "quant/s4d/plan.h"
#include "tensor/weights.h"

namespace octet {

struct S4dSizes {
  std::map<std::string, int64_t, std::less<>> tensors;  // those of S4dTensors
  int64_t rest = 0;                                     // of no tensor: biases, scales and so on
  int64_t ram = 0;  // of the total, what a stream keeps between frames; the others are flash

  int64_t total() const {
    int64_t bytes = rest;
    for (const auto& [tensor, size] : tensors) {
      bytes += size;
    }
    return bytes;
  }
  friend bool operator==(const S4dSizes&, const S4dSizes&) = default;
};

// What a plan takes in one way of storing it (IdealSizes here, StoredSizes of edge/stored_sizes.h).
// An error where it cannot be stored so.
using S4dAccounting = std::function<Result<S4dSizes>(const S4dPlan&)>;

// As arXiv:2506.12480 counts: every value of a weight, of the state and of the activations of one
// frame in its own width, 32 bits where that is 0, each tensor rounded up to whole bytes; biases in
// 32 bits; no scales. State and activations are RAM. kCorrupt where a weight is missing.
Result<S4dSizes> IdealSizes(const Graph& graph, const WeightMap& weights, const S4dPlan& plan);

}  // namespace octet
#endif  // OCTET_QUANT_S4D_SIZES_H_
