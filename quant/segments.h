// Channels of a value that mean different things: z, x, B, C and dt in the output of in_proj.
#ifndef OCTET_QUANT_SEGMENTS_H_
#define OCTET_QUANT_SEGMENTS_H_

#include <cstdint>
#include <vector>

#include "graph/graph.h"

namespace octet {

// Where the runs of channels of value `v` end that later operations read apart, ascending; the last
// is its width. Follows Splits, and convolutions, which go channel by channel.
std::vector<int64_t> SegmentEnds(const Graph& graph, ValueId v);

}  // namespace octet
#endif  // OCTET_QUANT_SEGMENTS_H_
