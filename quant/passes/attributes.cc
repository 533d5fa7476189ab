#include "quant/passes/passes.h"

namespace octet {

Pass SetChunkSize(int64_t chunk_size) {
  return {"chunk size", [chunk_size](QuantContext& c) -> Status {
            if (chunk_size > 0) SetChunkSize(chunk_size, &c.graph);
            return {};
          }};
}

Pass UseInt8Ssd(bool gate_q7) {
  const auto use = [gate_q7](QuantContext& c, int layer) -> Status {
    const auto [begin, end] = c.graph.LayerRange(layer);
    for (ValueId v = begin; v < end; ++v) {
      Node& n = c.graph.nodes[static_cast<size_t>(v)];
      if (n.op != Op::kSsd) continue;
      n.ssd.int8 = true;
      n.ssd.gate_q7 = gate_q7;
    }
    return Verify(c.graph);
  };
  return {"int8 ssd", nullptr, use};
}

}  // namespace octet
