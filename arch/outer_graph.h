// What every architecture has around its blocks.
#ifndef OCTET_ARCH_OUTER_GRAPH_H_
#define OCTET_ARCH_OUTER_GRAPH_H_

#include <cstdint>
#include <string>

#include "graph/graph.h"
#include "tensor/weights.h"

namespace octet {

inline constexpr const char* kEmbeddingTable = "backbone.embeddings.weight";

// `name` if the checkpoint has it, else "", which stands for an absent bias.
std::string OptionalTensor(const WeightMap& weights, const std::string& name);

// Final norm and head behind the residual stream `u`; a tied head multiplies by the embedding.
Graph FinishModel(ValueId u, float norm_eps, bool tied, int64_t vocab_rows, GraphBuilder* g);

}  // namespace octet
#endif  // OCTET_ARCH_OUTER_GRAPH_H_
