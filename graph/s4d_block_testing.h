// A small S4D classifier for tests of the folders that do not see arch/: written down a second
// time, from the example of state-spaces/s4, so that it also checks the one in arch/.
#ifndef OCTET_GRAPH_S4D_BLOCK_TESTING_H_
#define OCTET_GRAPH_S4D_BLOCK_TESTING_H_

#include <string>

#include "graph/graph.h"
#include "graph/random_tensors_testing.h"

namespace octet {

struct S4dBlockSizes {
  int64_t d_input = 2, d_model = 6, d_output = 4, layers = 2, modes = 5;
  bool trained_b = false, norms = true, pre_norm = false;
};

inline std::string S4dTensor(int64_t layer, const std::string& tensor) {
  return "s4_layers." + std::to_string(layer) + "." + tensor;
}

inline Graph MakeS4dBlocks(const S4dBlockSizes& s) {
  GraphBuilder g;
  ValueId u = g.Linear("encoder", g.Frames("frames", s.d_input), "encoder.weight", "encoder.bias",
                       s.d_model);
  for (int64_t i = 0; i < s.layers; ++i) {
    g.SetLayer(static_cast<int>(i));
    const auto name = [&](const char* tensor) { return S4dTensor(i, tensor); };
    const std::string norm = "norms." + std::to_string(i);
    const auto normed = [&](const char* site, ValueId x) {
      return g.LayerNorm(site, x, norm + ".weight", norm + ".bias", 1e-5f);
    };
    S4dAttributes s4d;
    s4d.modes = s.modes;
    const ValueId y =
        g.S4d("y", s.norms && s.pre_norm ? normed("u_norm", u) : u,
              {name("kernel.log_dt"), name("kernel.log_A_real"), name("kernel.A_imag"),
               s.trained_b ? name("kernel.B") : "", name("kernel.C"), name("D")},
              s4d);
    const ValueId z =
        g.Linear("z", g.Gelu("gelu", y, GeluForm::kExact), name("output_linear.0.weight"),
                 name("output_linear.0.bias"), 2 * s.d_model);
    u = g.Add("residual", u, g.Glu("glu", z));
    if (s.norms && !s.pre_norm) u = normed("norm", u);
  }
  g.SetLayer(-1);
  return g.Finish(
      g.Linear("logits", g.Mean("mean", u), "decoder.weight", "decoder.bias", s.d_output));
}

// Random weights under the names of state-spaces/s4.
inline WeightMap MakeS4dBlockWeights(const S4dBlockSizes& s, uint64_t seed) {
  WeightMap weights;
  RandomTensors set(seed, &weights);
  const int64_t H = s.d_model, N = s.modes;
  set("encoder.weight", {H, s.d_input}, -1, 1);
  set("encoder.bias", {H}, -1, 1);
  set("decoder.weight", {s.d_output, H}, -1, 1);
  set("decoder.bias", {s.d_output}, -1, 1);
  for (int64_t i = 0; i < s.layers; ++i) {
    const auto name = [&](const char* tensor) { return S4dTensor(i, tensor); };
    set(name("D"), {H}, -1, 1);
    set(name("kernel.log_dt"), {H}, -6, -2);
    set(name("kernel.log_A_real"), {H, N}, -1, 0);
    set(name("kernel.A_imag"), {H, N}, 0, 20);
    if (s.trained_b) set(name("kernel.B"), {H, N, 2}, -1, 1);
    set(name("kernel.C"), {H, N, 2}, -0.5f, 0.5f);
    set(name("output_linear.0.weight"), {2 * H, H}, -0.5f, 0.5f);
    set(name("output_linear.0.bias"), {2 * H}, -0.2f, 0.2f);
    if (!s.norms) continue;
    set("norms." + std::to_string(i) + ".weight", {H}, 0.5f, 1.5f);
    set("norms." + std::to_string(i) + ".bias", {H}, -0.2f, 0.2f);
  }
  return weights;
}

}  // namespace octet
#endif  // OCTET_GRAPH_S4D_BLOCK_TESTING_H_
