#include "exec/value_plan.h"

#include <algorithm>

namespace octet {
namespace {

// Hands out byte ranges, preferring the smallest free one that fits.
class Slots {
 public:
  int64_t Take(int64_t bytes) {
    bytes = (bytes + 63) / 64 * 64;
    auto best = free_.end();
    for (auto it = free_.begin(); it != free_.end(); ++it) {
      if (it->bytes >= bytes && (best == free_.end() || it->bytes < best->bytes)) best = it;
    }
    Slot slot{end_, bytes};
    if (best != free_.end()) {
      slot = *best;
      free_.erase(best);
    } else {
      end_ += bytes;
    }
    used_.push_back(slot);
    return slot.offset;
  }
  void Release(int64_t offset) {
    const auto it = std::ranges::find(used_, offset, &Slot::offset);
    free_.push_back(*it);
    used_.erase(it);
  }
  int64_t end() const { return end_; }

 private:
  struct Slot {
    int64_t offset, bytes;
  };
  std::vector<Slot> free_, used_;
  int64_t end_ = 0;
};

}  // namespace

namespace {

// Readers whose kernels want contiguous rows.
bool TakesStride(Op op) {
  return op != Op::kLinear && op != Op::kHadamard && op != Op::kAdd;
}

// Whether the split `v`, whose floats are decoded in place, has its part of the parent to itself.
bool OwnsItsPart(const Graph& graph, size_t v) {
  const Node& split = graph.nodes[v];
  if (graph.nodes[static_cast<size_t>(split.in[0])].op == Op::kSplit) return false;
  for (size_t u = 0; u < graph.nodes.size(); ++u) {
    const Node& other = graph.nodes[u];
    if (u == v || std::ranges::find(other.in, split.in[0]) == other.in.end()) continue;
    const bool apart = other.op == Op::kSplit && (other.offset >= split.offset + split.width ||
                                                  split.offset >= other.offset + other.width);
    if (!apart) return false;
  }
  return true;
}

// Which values are windows into their producer's input.
std::vector<bool> Windows(const Graph& graph, const std::vector<ValueUse>& uses) {
  std::vector<bool> window(graph.nodes.size());
  for (size_t v = 0; v < graph.nodes.size(); ++v) {
    const Node& n = graph.nodes[v];
    const Encoding* e = graph.FindEncoding(n.site);
    const bool decoded_in_place = e != nullptr && e->quantized() && uses[v].floats;
    window[v] = n.op == Op::kSplit && (!decoded_in_place || OwnsItsPart(graph, v));
    if (TakesStride(n.op)) continue;
    for (const ValueId source : n.in) {
      const auto u = static_cast<size_t>(source);
      if (uses[u].floats) window[u] = false;
    }
  }
  return window;
}

// For each node the last of those that may run together with it.
std::vector<size_t> GroupEnds(const Graph& graph) {
  std::vector<size_t> end(graph.nodes.size());
  for (size_t v = graph.nodes.size(); v-- > 0;) {
    const Op op = graph.nodes[v].op;
    const bool joins = v + 1 < graph.nodes.size() && (TreatsTokensAlone(op) || LeadsTokens(op)) &&
                       TreatsTokensAlone(graph.nodes[v + 1].op);
    end[v] = joins ? end[v + 1] : v;
  }
  return end;
}

}  // namespace

bool TreatsTokensAlone(Op op) {
  switch (op) {
    case Op::kRmsNorm:
    case Op::kGatedRmsNorm:
    case Op::kSoftplus:
    case Op::kGate:
    case Op::kHadamard:
    case Op::kAdd:
    case Op::kSplit:
    case Op::kGelu:
    case Op::kGlu:
    case Op::kLayerNorm:
      return true;
    default:
      return false;
  }
}

bool LeadsTokens(Op op) {
  return op == Op::kCausalConvSilu;
}

ValuePlan PlanValues(const Graph& graph, const std::vector<ValueUse>& uses, int64_t piece) {
  const size_t count = graph.nodes.size();
  const std::vector<bool> window = Windows(graph, uses);
  const std::vector<size_t> group_end = GroupEnds(graph);
  std::vector<size_t> root(count), last_use(count);
  for (size_t v = 0; v < count; ++v) {
    const Node& n = graph.nodes[v];
    root[v] = window[v] ? root[static_cast<size_t>(n.in[0])] : v;
    last_use[v] = group_end[v];
    for (const ValueId source : n.in) {
      last_use[static_cast<size_t>(source)] = group_end[v];
      last_use[root[static_cast<size_t>(source)]] = group_end[v];
    }
  }
  ValuePlan plan;
  plan.places.resize(count);
  Slots slots;
  for (size_t v = 0; v + 1 < count; ++v) {
    const Node& n = graph.nodes[v];
    ValuePlace& place = plan.places[v];
    if (window[v]) {
      const ValuePlace& parent = plan.places[static_cast<size_t>(n.in[0])];
      place.floats = parent.floats + n.offset * 4;
      place.stride = parent.stride;
    } else {
      place.floats = slots.Take(piece * n.width * 4);
      place.stride = n.width;
      place.copy = n.op == Op::kSplit;
    }
    if (uses[v].codes) {
      place.codes = slots.Take(piece * n.width);
      place.token_scales = slots.Take(piece * 4);
    }
    for (size_t u = 0; u <= v; ++u) {
      if (last_use[u] != v) continue;
      if (root[u] == u) slots.Release(plan.places[u].floats);
      if (uses[u].codes) {
        slots.Release(plan.places[u].codes);
        slots.Release(plan.places[u].token_scales);
      }
    }
  }
  plan.bytes = slots.end();
  return plan;
}

}  // namespace octet
