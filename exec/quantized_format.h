// How a quantized graph is stored: tensors and one JSON object (docs/format.md).
#ifndef OCTET_EXEC_QUANTIZED_FORMAT_H_
#define OCTET_EXEC_QUANTIZED_FORMAT_H_

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "graph/graph.h"
#include "tensor/weights.h"

namespace octet {

// quant_method of a folder in another format: an S4D classifier (quant/s4d/quantized.h).
inline constexpr const char* kS4dQuantMethod = "octet-s4d";

// The tensors of model.safetensors, sorted by name: every weight of the graph; for a quantized one
// also "<name>_scale" F32 [1] or [rows] and, 4 bits, "<name>_group_scale" U8 [rows, groups]; for
// each statically encoded site "encodings.<site>.scale" F32 [scales], and "encodings.<site>.zero"
// U8 [scales] if its code has zeros; for each state with static scales "encodings.<state
// site>.scale" F32 [entries] or [entries, N] and, if it has a map, "encodings.<state site>.rows"
// I32 [rows].
std::vector<std::pair<std::string, Weight>> StoredTensors(const Graph& graph,
                                                          const WeightMap& weights);

// What the float graph of the same checkpoint does not say: chunk_size, state, where Hadamard nodes
// stand, which inputs are forked, which Ssd nodes run in int8, which sites are encoded per token or
// per chunk, or in another code than int8, shapes of 4-bit weights. The "graph" member of
// quantization_config.
Json DescribeQuantization(const Graph& graph, const WeightMap& weights);

// Puts the scales back into the weights: the inverse of StoredTensors for everything that is not an
// encoding. Encoding tensors are moved to `encodings`, with "encodings." cut off.
// kCorrupt, naming the tensor, for a quantized tensor without scales, a scale that is not positive,
// finite and of 12 significant bits, or a shape that disagrees.
Result<WeightMap> AttachScales(const Json& description, const WeightMap& stored,
                               WeightMap* encodings);

// The static scales of the state of block `layer` among the encodings of AttachScales. kCorrupt,
// naming the tensor, when they are missing or malformed.
Result<StateScales> ReadStateScales(const WeightMap& encodings, int layer);

// Edits the float graph of the checkpoint into the quantized one. kCorrupt, naming the site, when
// the description and the tensors do not fit the graph; unknown members are refused.
Status ApplyQuantization(const Json& description, const WeightMap& encodings, Graph* graph);

}  // namespace octet
#endif  // OCTET_EXEC_QUANTIZED_FORMAT_H_
