// What a graph accepts as input, checked before anything runs.
#ifndef OCTET_EXEC_INPUTS_H_
#define OCTET_EXEC_INPUTS_H_

#include <cstdint>
#include <span>

#include "base/status.h"
#include "graph/graph.h"

namespace octet {

using TokenId = int32_t;

// kInvalidArgument unless the graph reads tokens and each is a row of the embedding.
Status CheckTokens(const Graph& graph, std::span<const TokenId> tokens);

// kInvalidArgument unless the graph reads frames, these are whole ones and all values are finite.
Status CheckFrames(const Graph& graph, std::span<const float> frames);

}  // namespace octet
#endif  // OCTET_EXEC_INPUTS_H_
