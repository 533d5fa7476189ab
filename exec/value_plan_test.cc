// Contracts:
//  1. No value's memory is written before its last reader has run: floats, codes and token scales,
//     on the graphs of the models and on random ones, checked against liveness found by brute
//     force.
//  2. A split is a window into its parent, or a copy where a reader takes no stride; everything
//  lies
//     inside `bytes`, aligned; the logits have no place.
//     A split whose decoded floats others would see is a copy too, and one read as codes only is a
//     window.
//  3. Every reader sees what its input wrote, also where sites are decoded in place and forked:
//     checked by running the plan on tags. That holds although consecutive nodes that treat tokens
//     alone run token by token together.
//  4. Memory is reused: it does not grow with the number of blocks.
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

std::vector<ValueUse> RandomUses(Rng* rng, size_t n) {
  std::vector<ValueUse> uses(n);
  for (ValueUse& use : uses) {
    use = {true, rng->Below(2) == 0};
  }
  return uses;
}

TEST(ValuePlan, NeverOverlapsLiveValuesOfModels) {
  Rng rng(1);
  for (const int64_t piece : {1, 7, 256}) {
    for (int i = 0; i < 40; ++i) {
      const Graph g = i % 2 == 0 ? MakeBlocks({}) : MakeMambaBlocks({.mixer_norms = i % 4 == 1});
      const std::vector<ValueUse> uses = RandomUses(&rng, g.nodes.size());
      const ValuePlan plan = PlanValues(g, uses, piece);
      ExpectNoClobber(g, plan, piece);
      for (size_t v = 0; v + 1 < g.nodes.size(); ++v) {
        EXPECT_EQ(plan.places[v].codes >= 0, uses[v].codes);
        EXPECT_EQ(plan.places[v].token_scales >= 0, uses[v].codes);
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
    constexpr Op kOps[] = {Op::kAdd,  Op::kGate,   Op::kGate,
                           Op::kGate, Op::kLinear, Op::kCausalConvSilu};
    n.op = i == 0 ? Op::kEmbedding : kOps[rng->Below(std::size(kOps))];
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
    ExpectNoClobber(g, PlanValues(g, RandomUses(&rng, g.nodes.size()), 5), 5);
  }
}

// Runs a plan on tags that say who wrote an element, as the executor runs it on floats: a node
// writes its rows, a copying split copies them, an encoded site that is read as floats rewrites
// them, then writes its codes.
class TaggedRun {
 public:
  // Encodes random sites; of an encoded input, every other Add, Linear and Gate reads codes.
  TaggedRun(Graph* g, Rng* rng) : g_(*g), uses_(g->nodes.size()) {
    for (const Node& n : g->nodes) {
      if (rng->Below(2) == 0) g->encodings[n.site] = {DType::kI8, {}, {0.5f}};
    }
    for (size_t v = 0; v < g->nodes.size(); ++v) {
      for (const ValueId in : g->nodes[v].in) {
        const auto u = static_cast<size_t>(in);
        (ReadsCodes(v, u) ? uses_[u].codes : uses_[u].floats) = true;
      }
    }
    plan_ = PlanValues(*g, uses_, kPiece);
    memory_.assign(static_cast<size_t>(plan_.bytes), -1);
  }

  // Consecutive nodes that treat tokens alone, and one that leads them, take one token after the
  // other; the latter then reads the tokens before it too.
  void ExpectReadersSeeTheirInputs() {
    const auto alone = [&](size_t v) { return TreatsTokensAlone(g_.nodes[v].op); };
    for (size_t v = 0; v + 1 < g_.nodes.size();) {
      const bool leads = LeadsTokens(g_.nodes[v].op);
      size_t end = v + 1;
      while ((alone(v) || leads) && end + 1 < g_.nodes.size() && alone(end)) {
        ++end;
      }
      const int64_t rows = alone(v) || leads ? 1 : kPiece;
      for (int64_t t = 0; t < kPiece; t += rows) {
        for (size_t u = v; u < end; ++u) {
          for (const ValueId in : g_.nodes[u].in) {
            Read(u, static_cast<size_t>(in), leads && u == v ? 0 : t, t + rows);
          }
          Write(u, t, t + rows);
        }
      }
      v = end;
    }
  }

 private:
  static constexpr int64_t kPiece = 3;
  bool Encoded(size_t v) const { return g_.FindEncoding(g_.nodes[v].site) != nullptr; }
  bool ReadsCodes(size_t reader, size_t v) const {
    return g_.nodes[reader].op != Op::kSplit && Encoded(v) && (reader + v) % 2 == 0;
  }
  static int64_t Tag(size_t v, int64_t t, int64_t c, int kind) {
    return ((static_cast<int64_t>(v) * kPiece + t) * 4096 + c) * 4 + kind;
  }
  // What a reader of value v must find.
  int64_t Want(size_t v, int64_t t, int64_t c) const {
    const Node& n = g_.nodes[v];
    if (Encoded(v) && uses_[v].floats) return Tag(v, t, c, 1);
    if (n.op == Op::kSplit) return Want(static_cast<size_t>(n.in[0]), t, n.offset + c);
    return Tag(v, t, c, 0);
  }
  int64_t& At(size_t v, int64_t t, int64_t c) {
    const ValuePlace& p = plan_.places[v];
    return memory_[static_cast<size_t>(p.floats + (t * p.stride + c) * 4)];
  }
  void Read(size_t reader, size_t v, int64_t first, int64_t last) {
    const Node& n = g_.nodes[reader];
    const bool part = n.op == Op::kSplit;
    const int64_t begin = part ? n.offset : 0;
    const int64_t end = part ? n.offset + n.width : g_.nodes[v].width;
    int64_t wrong = 0;
    for (int64_t t = first; t < last; ++t) {
      for (int64_t c = begin; c < end; ++c) {
        if (ReadsCodes(reader, v)) {
          const int64_t at = plan_.places[v].codes + t * g_.nodes[v].width + c;
          wrong += memory_[static_cast<size_t>(at)] != Tag(v, t, c, 2);
        } else {
          wrong += At(v, t, c) != Want(v, t, c);
        }
      }
    }
    EXPECT_EQ(wrong, 0) << n.site << " reads " << g_.nodes[v].site;
  }
  void Write(size_t v, int64_t first, int64_t last) {
    const Node& n = g_.nodes[v];
    const ValuePlace& p = plan_.places[v];
    for (int64_t t = first; t < last; ++t) {
      for (int64_t c = 0; c < n.width; ++c) {
        if (n.op != Op::kSplit) At(v, t, c) = Tag(v, t, c, 0);
        if (p.copy) At(v, t, c) = At(static_cast<size_t>(n.in[0]), t, n.offset + c);
      }
    }
    for (int64_t t = first; t < last; ++t) {
      for (int64_t c = 0; c < n.width; ++c) {
        if (Encoded(v) && uses_[v].floats) At(v, t, c) = Tag(v, t, c, 1);
        if (uses_[v].codes) {
          memory_[static_cast<size_t>(p.codes + t * n.width + c)] = Tag(v, t, c, 2);
        }
      }
      if (uses_[v].codes) memory_[static_cast<size_t>(p.token_scales + t * 4)] = -2;
    }
  }

  const Graph& g_;
  std::vector<ValueUse> uses_;
  ValuePlan plan_;
  std::vector<int64_t> memory_;  // the tag of what starts at each byte
};

TEST(ValuePlan, EveryReaderSeesItsInput) {
  Rng rng(4);
  for (int i = 0; i < 400 && !HasFailure(); ++i) {
    SCOPED_TRACE(i);
    Graph g = i % 4 == 0 ? MakeBlocks({}) : i % 4 == 1 ? MakeMambaBlocks({}) : RandomGraph(&rng);
    for (int fork = 0; fork < 4; ++fork) {
      const auto reader = 1 + static_cast<ValueId>(rng.Below(g.nodes.size() - 1));
      const size_t inputs = g.nodes[static_cast<size_t>(reader)].in.size();
      ForkInput(&g, reader, rng.Below(inputs), fmt::format("fork{}", fork));
    }
    TaggedRun(&g, &rng).ExpectReadersSeeTheirInputs();
  }
}

TEST(ValuePlan, AForkReadAsCodesIsAWindowAndOneReadAsFloatsACopy) {
  Graph g = MakeMambaBlocks({});
  const ValueId codes = ForkInput(&g, g.FindSite("layers.0.x_dbl"), 0, "codes");
  const ValueId floats = ForkInput(&g, g.FindSite("layers.0.y"), 0, "floats");
  std::vector<ValueUse> uses(g.nodes.size(), {true, false});
  uses[static_cast<size_t>(codes)] = {false, true};
  for (const bool encoded : {false, true}) {
    if (encoded) {
      g.encodings["layers.0.codes"] = g.encodings["layers.0.floats"] = {DType::kI8, {}, {0.5f}};
    }
    const ValuePlan plan = PlanValues(g, uses, 4);
    EXPECT_FALSE(plan.places[static_cast<size_t>(codes)].copy);
    EXPECT_EQ(plan.places[static_cast<size_t>(floats)].copy, encoded);
  }
}

TEST(ValuePlan, MemoryDoesNotGrowWithDepth) {
  const auto bytes = [](int64_t layers) {
    BlockSizes s;
    s.layers = layers;
    const Graph g = MakeBlocks(s);
    return PlanValues(g, std::vector<ValueUse>(g.nodes.size(), {true, true}), 64).bytes;
  };
  EXPECT_EQ(bytes(2), bytes(20));
}

}  // namespace
}  // namespace octet
