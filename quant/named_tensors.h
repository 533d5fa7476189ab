// What rules call the tensors of a model.
#ifndef OCTET_QUANT_NAMED_TENSORS_H_
#define OCTET_QUANT_NAMED_TENSORS_H_

#include <string>
#include <vector>

#include "graph/graph.h"

namespace octet {

constexpr int kOutsideBlocks = -1;

struct NamedTensor {
  int layer;         // or kOutsideBlocks
  std::string name;  // "in_proj", "conv1d.weight", "A_log", "embedding", "head"
  std::string full;  // in the WeightMap
  ValueId value;     // whose channels its rows are
  bool linear;       // a matrix that Linear multiplies by

  // Can have 4 bits.
  bool matrix() const { return linear || layer == kOutsideBlocks; }
};

// Tensors of block `layer` as often as operations read them, or, for kOutsideBlocks, the embedding
// and the head; a tied table is both, and goes by the name of embedding.
std::vector<NamedTensor> TensorsOf(const Graph& graph, int layer);

}  // namespace octet
#endif  // OCTET_QUANT_NAMED_TENSORS_H_
