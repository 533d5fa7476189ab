// Contracts:
//  1. No value's memory is written before its last reader has run: floats, codes and token scales,
//     on the graphs of the models and on random ones, checked against liveness found by brute
//     force.
//  2. A split is a window into its parent, or a copy where a reader takes no stride; everything
//  lies
//     inside `bytes`, aligned; the logits have no place.
//  3. Memory is reused: it does not grow with the number of blocks.
#include "exec/value_plan.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "graph/block_testing.h"
#include "graph/mamba_block_testing.h"

namespace octet {
namespace {

struct Bytes {
  int64_t begin, end;
};

// The memory that value v's own data lies in.
std::vector<Bytes> MemoryOf(const ValuePlace& p, int64_t width, int64_t piece) {
  std::vector<Bytes> all = {{p.floats, p.floats + ((piece - 1) * p.stride + width) * 4}};
  if (p.codes >= 0) all.push_back({p.codes, p.codes + piece * width});
  if (p.token_scales >= 0) all.push_back({p.token_scales, p.token_scales + piece * 4});
  return all;
}

// A split that only readers with strides read.
bool IsWindow(const Graph& g, ValueId v) {
  if (g.nodes[static_cast<size_t>(v)].op != Op::kSplit) return false;
  for (const Node& n : g.nodes) {
    const bool contiguous = n.op == Op::kLinear || n.op == Op::kHadamard || n.op == Op::kAdd;
    if (contiguous && std::ranges::find(n.in, v) != n.in.end()) return false;
  }
  return true;
}

bool IsWindowOf(const Graph& g, ValueId v, ValueId parent) {
  while (IsWindow(g, v)) {
    v = g.nodes[static_cast<size_t>(v)].in[0];
    if (v == parent) return true;
  }
  return false;
}

// Whether a node at or after `step` reads value v, or with `windows` one of its windows.
bool ReadFrom(const Graph& g, ValueId v, size_t step, bool windows) {
  for (size_t reader = step; reader < g.nodes.size(); ++reader) {
    for (const ValueId in : g.nodes[reader].in) {
      if (in == v || (windows && IsWindowOf(g, in, v))) return true;
    }
  }
  return false;
}

// Node `step` writes its own value while all values that it or a later node reads must survive.
void ExpectNoClobber(const Graph& g, const ValuePlan& plan, int64_t piece) {
  ASSERT_EQ(plan.places.size(), g.nodes.size());
  for (size_t step = 0; step + 1 < g.nodes.size(); ++step) {
    const Node& n = g.nodes[step];
    const auto mine = MemoryOf(plan.places[step], n.width, piece);
    for (const Bytes& b : mine) {
      EXPECT_GE(b.begin, 0) << n.site;
      EXPECT_LE(b.end, plan.bytes) << n.site;
    }
    EXPECT_EQ(plan.places[step].floats % 4, 0);
    for (size_t i = 0; i < mine.size(); ++i) {
      for (size_t j = i + 1; j < mine.size(); ++j) {
        EXPECT_TRUE(mine[i].end <= mine[j].begin || mine[j].end <= mine[i].begin) << n.site;
      }
    }
    for (size_t other = 0; other < step; ++other) {
      const auto v = static_cast<ValueId>(other);
      if (IsWindowOf(g, static_cast<ValueId>(step), v)) continue;
      const auto memory = MemoryOf(plan.places[other], g.nodes[other].width, piece);
      for (size_t j = 0; j < memory.size(); ++j) {
        if (!ReadFrom(g, v, step, j == 0)) continue;  // a window shares floats, not codes
        const Bytes& theirs = memory[j];
        for (size_t i = 0; i < mine.size(); ++i) {
          // Windows of one parent interleave and do not overlap; their codes are apart.
          const bool siblings = i == 0 && IsWindow(g, static_cast<ValueId>(step));
          EXPECT_TRUE(siblings || mine[i].end <= theirs.begin || theirs.end <= mine[i].begin)
              << n.site << " overwrites " << g.nodes[other].site;
        }
      }
    }
    const bool window = IsWindow(g, static_cast<ValueId>(step));
    EXPECT_EQ(plan.places[step].copy, n.op == Op::kSplit && !window) << n.site;
    if (!window) {
      EXPECT_EQ(plan.places[step].stride, n.width) << n.site;
      continue;
    }
    const ValuePlace& parent = plan.places[static_cast<size_t>(n.in[0])];
    EXPECT_EQ(plan.places[step].floats, parent.floats + n.offset * 4) << n.site;
    EXPECT_EQ(plan.places[step].stride, parent.stride) << n.site;
  }
  EXPECT_LT(plan.places.back().floats, 0);
}

std::vector<bool> RandomCodes(Rng* rng, size_t n) {
  std::vector<bool> codes(n);
  for (size_t i = 0; i < n; ++i) {
    codes[i] = rng->Below(2) == 0;
  }
  return codes;
}

TEST(ValuePlan, NeverOverlapsLiveValuesOfModels) {
  Rng rng(1);
  for (const int64_t piece : {1, 7, 256}) {
    for (int i = 0; i < 40; ++i) {
      const Graph g = i % 2 == 0 ? MakeBlocks({}) : MakeMambaBlocks({.mixer_norms = i % 4 == 1});
      const std::vector<bool> codes = RandomCodes(&rng, g.nodes.size());
      const ValuePlan plan = PlanValues(g, codes, piece);
      ExpectNoClobber(g, plan, piece);
      for (size_t v = 0; v + 1 < g.nodes.size(); ++v) {
        EXPECT_EQ(plan.places[v].codes >= 0, codes[v]);
        EXPECT_EQ(plan.places[v].token_scales >= 0, codes[v]);
      }
    }
  }
}

// Any shape of dependencies: values read late, often, never, and windows of windows.
Graph RandomGraph(Rng* rng) {
  Graph g;
  const size_t count = 3 + rng->Below(25);
  for (size_t i = 0; i < count; ++i) {
    Node n{};
    n.site = fmt::format("v{}", i);
    n.width = 1 + static_cast<int64_t>(rng->Below(40));
    n.op = i == 0 ? Op::kEmbedding : rng->Below(4) == 0 ? Op::kAdd : Op::kGate;
    for (size_t in = 0; i > 0 && in < 1 + rng->Below(3); ++in) {
      n.in.push_back(static_cast<ValueId>(rng->Below(i)));
    }
    if (i > 0 && i + 1 < count && rng->Below(3) == 0) {
      n.op = Op::kSplit;
      n.in.resize(1);
      const int64_t parent = g.nodes[static_cast<size_t>(n.in[0])].width;
      n.offset = static_cast<int64_t>(rng->Below(static_cast<uint64_t>(parent)));
      n.width = 1 + static_cast<int64_t>(rng->Below(static_cast<uint64_t>(parent - n.offset)));
    }
    g.nodes.push_back(std::move(n));
  }
  g.logits = static_cast<ValueId>(count) - 1;
  return g;
}

TEST(ValuePlan, NeverOverlapsLiveValuesOfRandomGraphs) {
  Rng rng(2);
  for (int i = 0; i < 300 && !HasFailure(); ++i) {
    SCOPED_TRACE(i);
    const Graph g = RandomGraph(&rng);
    ExpectNoClobber(g, PlanValues(g, RandomCodes(&rng, g.nodes.size()), 5), 5);
  }
}

TEST(ValuePlan, MemoryDoesNotGrowWithDepth) {
  const auto bytes = [](int64_t layers) {
    BlockSizes s;
    s.layers = layers;
    const Graph g = MakeBlocks(s);
    return PlanValues(g, std::vector<bool>(g.nodes.size(), true), 64).bytes;
  };
  EXPECT_EQ(bytes(2), bytes(20));
}

}  // namespace
}  // namespace octet
