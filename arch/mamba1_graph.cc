#include <array>
#include <limits>

#include <fmt/format.h>

#include "arch/mamba1.h"
#include "arch/outer_graph.h"

namespace octet {
namespace {

// dt_low, B and C of a block.
std::array<ValueId, 3> Selection(const Mamba1Config& c, ValueId x_dbl, GraphBuilder* g) {
  const std::array<int64_t, 3> widths = {c.dt_rank, c.state_size, c.state_size};
  if (!c.mixer_norms) return g->Split<3>(x_dbl, {"dt_low", "B", "C"}, widths);
  const auto [dt_low, B, C] = g->Split<3>(x_dbl, {"dt_low_in", "B_in", "C_in"}, widths);
  return {g->RmsNorm("dt_low", dt_low, "", c.mixer_eps), g->RmsNorm("B", B, "", c.mixer_eps),
          g->RmsNorm("C", C, "", c.mixer_eps)};
}

}  // namespace

Graph Mamba1Graph(const Mamba1Config& c, const WeightMap& weights) {
  const auto optional = [&](const std::string& name) { return OptionalTensor(weights, name); };
  ScanAttributes scan;
  scan.state_size = c.state_size;

  GraphBuilder g;
  ValueId u = g.Embedding("embedding", kEmbeddingTable, c.vocab_rows, c.d_model);
  for (int64_t i = 0; i < c.layers; ++i) {
    g.SetLayer(static_cast<int>(i));
    const std::string block = fmt::format("backbone.layers.{}.", i);
    const std::string mixer = block + "mixer.";
    const ValueId u_norm = g.RmsNorm("u_norm", u, block + "norm.weight", c.norm_eps);
    const ValueId xz = g.Linear("xz", u_norm, mixer + "in_proj.weight",
                                optional(mixer + "in_proj.bias"), 2 * c.d_inner);
    const auto [x_in, z] = g.Split<2>(xz, {"x_in", "z"}, {c.d_inner, c.d_inner});
    const ValueId x = g.CausalConvSilu("x", x_in, mixer + "conv1d.weight",
                                       optional(mixer + "conv1d.bias"), c.conv_kernel);
    const ValueId x_dbl = g.Linear("x_dbl", x, mixer + "x_proj.weight", "", c.d_x_proj());
    const auto [dt_low, B, C] = Selection(c, x_dbl, &g);
    const ValueId dt_in = g.Linear("dt_in", dt_low, mixer + "dt_proj.weight", "", c.d_inner);
    const ValueId dt =
        g.Softplus("dt", dt_in, mixer + "dt_proj.bias", 0, std::numeric_limits<float>::infinity());
    const ValueId y = g.SelectiveScan("y", x, dt, B, C, mixer + "A_log", mixer + "D", scan);
    const ValueId y_gate = g.Gate("y_gate", y, z);
    const ValueId out = g.Linear("out", y_gate, mixer + "out_proj.weight",
                                 optional(mixer + "out_proj.bias"), c.d_model);
    u = g.Add("residual", u, out);
  }
  return FinishModel(u, c.norm_eps, c.tied, c.vocab_rows, &g);
}

}  // namespace octet
