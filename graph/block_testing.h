// A small Mamba-2 for tests of the folders that do not see arch/: written down a second time, from
// the paper's figure 6, so that it also checks the one in arch/.
#ifndef OCTET_GRAPH_BLOCK_TESTING_H_
#define OCTET_GRAPH_BLOCK_TESTING_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "graph/graph.h"
#include "graph/random_tensors_testing.h"
#include "tensor/weights.h"

namespace octet {

struct BlockSizes {
  int64_t d_model = 8, layers = 2, rows = 11, heads = 4, head_dim = 3, state_size = 5, groups = 2;
  int64_t taps = 4, chunk_size = 8;
  bool tied = true, biases = false, D_per_channel = false;
  int64_t d_inner() const { return heads * head_dim; }
  int64_t d_bc() const { return groups * state_size; }
  int64_t d_xbc() const { return d_inner() + 2 * d_bc(); }
  int64_t d_in_proj() const { return d_inner() + d_xbc() + heads; }
};

inline std::string LayerTensor(int64_t layer, const std::string& name) {
  return fmt::format("backbone.layers.{}.{}", layer, name);
}

// Final norm and head behind the residual stream `u`.
inline Graph FinishBlocks(ValueId u, bool tied, int64_t rows, GraphBuilder* g) {
  g->SetLayer(-1);
  const ValueId norm = g->RmsNorm("final_norm", u, "backbone.norm_f.weight", 1e-5f);
  const char* head = tied ? "backbone.embeddings.weight" : "lm_head.weight";
  return g->Finish(g->Linear("logits", norm, head, "", rows));
}

inline Graph MakeBlocks(const BlockSizes& s) {
  GraphBuilder g;
  const std::string table = "backbone.embeddings.weight";
  SsdAttributes ssd;
  ssd.heads = s.heads;
  ssd.head_dim = s.head_dim;
  ssd.state_size = s.state_size;
  ssd.groups = s.groups;
  ssd.chunk_size = s.chunk_size;
  ValueId u = g.Embedding("embedding", table, s.rows, s.d_model);
  for (int64_t i = 0; i < s.layers; ++i) {
    g.SetLayer(static_cast<int>(i));
    const auto name = [&](const char* tensor) { return LayerTensor(i, tensor); };
    const auto bias = [&](const char* tensor) { return s.biases ? name(tensor) : std::string(); };
    const ValueId norm = g.RmsNorm("u_norm", u, name("norm.weight"), 1e-5f);
    const ValueId all = g.Linear("zxbcdt", norm, name("mixer.in_proj.weight"),
                                 bias("mixer.in_proj.bias"), s.d_in_proj());
    const auto in = g.Split<3>(all, {"z", "xBC_in", "dt_in"}, {s.d_inner(), s.d_xbc(), s.heads});
    const ValueId conv = g.CausalConvSilu("xBC", in[1], name("mixer.conv1d.weight"),
                                          name("mixer.conv1d.bias"), s.taps);
    const auto xbc = g.Split<3>(conv, {"x", "B", "C"}, {s.d_inner(), s.d_bc(), s.d_bc()});
    const ValueId dt =
        g.Softplus("dt", in[2], name("mixer.dt_bias"), 0, std::numeric_limits<float>::infinity());
    const ValueId y =
        g.Ssd("y", xbc[0], dt, xbc[1], xbc[2], name("mixer.A_log"), name("mixer.D"), ssd);
    const ValueId y_norm =
        g.GatedRmsNorm("y_norm", y, in[0], name("mixer.norm.weight"), 1e-5f, s.groups);
    const ValueId out = g.Linear("out", y_norm, name("mixer.out_proj.weight"),
                                 bias("mixer.out_proj.bias"), s.d_model);
    u = g.Add("residual", u, out);
  }
  return FinishBlocks(u, s.tied, s.rows, &g);
}

// Random weights under transformers' names, in the order of their names.
inline WeightMap MakeBlockWeights(const BlockSizes& s, uint64_t seed) {
  WeightMap weights;
  RandomTensors set(seed, &weights);
  set("backbone.embeddings.weight", {s.rows, s.d_model}, -1, 1);
  set("backbone.norm_f.weight", {s.d_model}, 0.5f, 1.5f);
  if (!s.tied) set("lm_head.weight", {s.rows, s.d_model}, -1, 1);
  for (int64_t i = 0; i < s.layers; ++i) {
    const auto name = [&](const char* tensor) { return LayerTensor(i, tensor); };
    set(name("norm.weight"), {s.d_model}, 0.5f, 1.5f);
    set(name("mixer.in_proj.weight"), {s.d_in_proj(), s.d_model}, -0.6f, 0.6f);
    set(name("mixer.conv1d.weight"), {s.d_xbc(), 1, s.taps}, -0.8f, 0.8f);
    set(name("mixer.conv1d.bias"), {s.d_xbc()}, -0.2f, 0.2f);
    set(name("mixer.dt_bias"), {s.heads}, -4, 0);
    set(name("mixer.A_log"), {s.heads}, -1, 2);
    set(name("mixer.D"), {s.D_per_channel ? s.d_inner() : s.heads}, 0.5f, 1.5f);
    set(name("mixer.norm.weight"), {s.d_inner()}, 0.5f, 1.5f);
    set(name("mixer.out_proj.weight"), {s.d_model, s.d_inner()}, -0.5f, 0.5f);
    if (!s.biases) continue;
    set(name("mixer.in_proj.bias"), {s.d_in_proj()}, -0.2f, 0.2f);
    set(name("mixer.out_proj.bias"), {s.d_model}, -0.2f, 0.2f);
  }
  return weights;
}

// Gives the graph that state format; static scales with a few columns, clusters and plain rows.
inline void SetState(const std::string& text, Graph* graph) {
  graph->state = *ParseStateFormat(text);
  graph->state_scales = nullptr;
  if (!graph->state.static_scales()) return;
  std::vector<StateScales> scales(static_cast<size_t>(graph->layers));
  for (int layer = 0; layer < graph->layers; ++layer) {
    const Node& n = *FindStateNode(*graph, layer);
    StateScales& s = scales[static_cast<size_t>(layer)];
    s.values = {0x1.0p-6f};
    if (layer % 3 == 1) s.values.assign(static_cast<size_t>(n.width), 0x1.8p-6f);
    if (layer % 3 != 0) continue;
    s.columns = StateSize(n);
    s.values.assign(static_cast<size_t>(2 * s.columns), 0x1.0p-6f);
    s.values.back() = 0x1.4p-6f;
    for (int64_t row = 0; row < n.width; ++row) {
      s.row_map.push_back(static_cast<uint16_t>(row % 2));
    }
  }
  graph->state_scales = std::make_shared<const std::vector<StateScales>>(std::move(scales));
}

}  // namespace octet
#endif  // OCTET_GRAPH_BLOCK_TESTING_H_
