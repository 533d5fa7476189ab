// A small Mamba for tests of the folders that do not see arch/: written down a second time, from
// figure 3 and algorithm 2 of Gu & Dao 2023, so that it also checks the one in arch/.
#ifndef OCTET_GRAPH_MAMBA_BLOCK_TESTING_H_
#define OCTET_GRAPH_MAMBA_BLOCK_TESTING_H_

#include <limits>
#include <string>

#include "graph/block_testing.h"
#include "graph/random_tensors_testing.h"

namespace octet {

struct MambaBlockSizes {
  int64_t d_model = 8, layers = 2, rows = 11, d_inner = 12, state_size = 5, dt_rank = 3, taps = 4;
  bool tied = true, biases = false, conv_bias = true;
  bool mixer_norms = false;  // FalconMamba
};

inline Graph MakeMambaBlocks(const MambaBlockSizes& s) {
  GraphBuilder g;
  const std::string table = "backbone.embeddings.weight";
  const int64_t I = s.d_inner, N = s.state_size;
  ValueId u = g.Embedding("embedding", table, s.rows, s.d_model);
  for (int64_t i = 0; i < s.layers; ++i) {
    g.SetLayer(static_cast<int>(i));
    const auto name = [&](const char* tensor) { return LayerTensor(i, tensor); };
    const auto bias = [&](const char* tensor) { return s.biases ? name(tensor) : std::string(); };
    const ValueId norm = g.RmsNorm("u_norm", u, name("norm.weight"), 1e-5f);
    const ValueId xz =
        g.Linear("xz", norm, name("mixer.in_proj.weight"), bias("mixer.in_proj.bias"), 2 * I);
    const auto halves = g.Split<2>(xz, {"x_in", "z"}, {I, I});
    const ValueId x = g.CausalConvSilu("x", halves[0], name("mixer.conv1d.weight"),
                                       s.conv_bias ? name("mixer.conv1d.bias") : "", s.taps);
    const ValueId x_dbl = g.Linear("x_dbl", x, name("mixer.x_proj.weight"), "", s.dt_rank + 2 * N);
    const bool norms = s.mixer_norms;
    auto selection = g.Split<3>(
        x_dbl, {norms ? "dt_low_in" : "dt_low", norms ? "B_in" : "B", norms ? "C_in" : "C"},
        {s.dt_rank, N, N});
    if (norms) {
      selection = {g.RmsNorm("dt_low", selection[0], "", 1e-6f),
                   g.RmsNorm("B", selection[1], "", 1e-6f),
                   g.RmsNorm("C", selection[2], "", 1e-6f)};
    }
    const ValueId dt_in = g.Linear("dt_in", selection[0], name("mixer.dt_proj.weight"), "", I);
    const ValueId dt = g.Softplus("dt", dt_in, name("mixer.dt_proj.bias"), 0,
                                  std::numeric_limits<float>::infinity());
    ScanAttributes scan;
    scan.state_size = N;
    const ValueId y = g.SelectiveScan("y", x, dt, selection[1], selection[2], name("mixer.A_log"),
                                      name("mixer.D"), scan);
    const ValueId gated = g.Gate("y_gate", y, halves[1]);
    const ValueId out = g.Linear("out", gated, name("mixer.out_proj.weight"),
                                 bias("mixer.out_proj.bias"), s.d_model);
    u = g.Add("residual", u, out);
  }
  return FinishBlocks(u, s.tied, s.rows, &g);
}

// Random weights under transformers' names, in the order of their names.
inline WeightMap MakeMambaBlockWeights(const MambaBlockSizes& s, uint64_t seed) {
  WeightMap weights;
  RandomTensors set(seed, &weights);
  const int64_t I = s.d_inner, N = s.state_size;
  set("backbone.embeddings.weight", {s.rows, s.d_model}, -1, 1);
  set("backbone.norm_f.weight", {s.d_model}, 0.5f, 1.5f);
  if (!s.tied) set("lm_head.weight", {s.rows, s.d_model}, -1, 1);
  for (int64_t i = 0; i < s.layers; ++i) {
    const auto name = [&](const char* tensor) { return LayerTensor(i, tensor); };
    set(name("norm.weight"), {s.d_model}, 0.5f, 1.5f);
    set(name("mixer.in_proj.weight"), {2 * I, s.d_model}, -0.6f, 0.6f);
    set(name("mixer.conv1d.weight"), {I, 1, s.taps}, -0.8f, 0.8f);
    if (s.conv_bias) set(name("mixer.conv1d.bias"), {I}, -0.2f, 0.2f);
    set(name("mixer.x_proj.weight"), {s.dt_rank + 2 * N, I}, -0.5f, 0.5f);
    set(name("mixer.dt_proj.weight"), {I, s.dt_rank}, -0.8f, 0.8f);
    set(name("mixer.dt_proj.bias"), {I}, -4, 0);
    set(name("mixer.A_log"), {I, N}, -1, 2);
    set(name("mixer.D"), {I}, 0.5f, 1.5f);
    set(name("mixer.out_proj.weight"), {s.d_model, I}, -0.5f, 0.5f);
    if (!s.biases) continue;
    set(name("mixer.in_proj.bias"), {2 * I}, -0.2f, 0.2f);
    set(name("mixer.out_proj.bias"), {s.d_model}, -0.2f, 0.2f);
  }
  return weights;
}

}  // namespace octet
#endif  // OCTET_GRAPH_MAMBA_BLOCK_TESTING_H_
