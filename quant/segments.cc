#include "quant/segments.h"

#include <set>

namespace octet {
namespace {

void Collect(const Graph& graph, ValueId v, int64_t offset, std::set<int64_t>* ends) {
  for (size_t u = static_cast<size_t>(v) + 1; u < graph.nodes.size(); ++u) {
    const Node& n = graph.nodes[u];
    if (n.in.empty() || n.in[0] != v) continue;
    if (n.op == Op::kSplit) {
      ends->insert({offset + n.offset, offset + n.offset + n.width});
      Collect(graph, static_cast<ValueId>(u), offset + n.offset, ends);
    } else if (n.op == Op::kCausalConvSilu) {
      Collect(graph, static_cast<ValueId>(u), offset, ends);
    }
  }
}

}  // namespace

std::vector<int64_t> SegmentEnds(const Graph& graph, ValueId v) {
  std::set<int64_t> ends = {graph.nodes[static_cast<size_t>(v)].width};
  Collect(graph, v, 0, &ends);
  ends.erase(0);
  return {ends.begin(), ends.end()};
}

}  // namespace octet
