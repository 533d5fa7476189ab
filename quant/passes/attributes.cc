#include <algorithm>

#include <fmt/format.h>

#include "quant/passes/passes.h"

namespace octet {

Pass SetChunkSize(int64_t chunk_size) {
  return {"chunk size", [chunk_size](QuantContext& c) -> Status {
            if (chunk_size > 0) SetChunkSize(chunk_size, &c.graph);
            return {};
          }};
}

Pass ForkSites(std::vector<ForkRule> forks) {
  return {"forks", [forks = std::move(forks)](QuantContext& c) -> Status {
            for (int layer = 0; layer < c.graph.layers; ++layer) {
              for (const ForkRule& f : forks) {
                const ValueId reader =
                    c.graph.FindSite(fmt::format("layers.{}.{}", layer, f.reader));
                const auto input = static_cast<size_t>(f.input);
                if (reader < 0 || input >= c.graph.nodes[static_cast<size_t>(reader)].in.size()) {
                  return InvalidArgument(fmt::format("fork {}: block {} has no reader {} input {}",
                                                     f.site, layer, f.reader, f.input));
                }
                ForkInput(&c.graph, reader, input, f.site);
              }
            }
            return Verify(c.graph);
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
  const auto check = [](QuantContext& c) -> Status {
    const auto is_ssd = [](const Node& n) { return n.op == Op::kSsd; };
    if (std::ranges::any_of(c.graph.nodes, is_ssd)) return {};
    return Unsupported("this model has no SSD");
  };
  return {"int8 ssd", check, use};
}

}  // namespace octet
