#include "quant/passes/passes.h"

namespace octet {

Pass SetChunkSize(int64_t chunk_size) {
  return {"chunk size", [chunk_size](QuantContext& c) -> Status {
            if (chunk_size > 0) SetChunkSize(chunk_size, &c.graph);
            return {};
          }};
}

Pass EncodeLinearInputsPerToken() {
  return {"per-token activations", [](QuantContext& c) -> Status {
            for (const Node& n : c.graph.nodes) {
              if (n.op != Op::kLinear || n.layer < 0) continue;
              const Node& input = c.graph.nodes[static_cast<size_t>(n.in[0])];
              c.graph.encodings[input.site] = {DType::kI8, ScaleSource::kPerToken, {}};
            }
            return {};
          }};
}

Pass EncodeInnerSitesPerChunk() {
  return {"per-chunk scales", [](QuantContext& c) -> Status {
            for (const Node& n : c.graph.nodes) {
              if (n.op != Op::kSsd) continue;
              for (const char* inner : kSsdInnerSites) {
                c.graph.encodings[SsdInnerSite(n.layer, inner)] = {
                    DType::kI8, ScaleSource::kPerChunk, {}};
              }
            }
            return {};
          }};
}

Pass UseInt8Ssd(bool gate_q7) {
  return {"int8 ssd", [gate_q7](QuantContext& c) -> Status {
            for (Node& n : c.graph.nodes) {
              if (n.op != Op::kSsd) continue;
              n.ssd.int8 = true;
              n.ssd.gate_q7 = gate_q7;
            }
            return Verify(c.graph);
          }};
}

}  // namespace octet
