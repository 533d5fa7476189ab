#include <fmt/format.h>

#include "arch/mamba2.h"
#include "arch/outer_graph.h"

namespace octet {

Graph Mamba2Graph(const Mamba2Config& c, const WeightMap& weights) {
  const auto optional = [&](const std::string& name) { return OptionalTensor(weights, name); };
  SsdAttributes ssd;
  ssd.heads = c.heads;
  ssd.head_dim = c.head_dim;
  ssd.state_size = c.state_size;
  ssd.groups = c.groups;
  ssd.chunk_size = c.chunk_size;

  GraphBuilder g;
  ValueId u = g.Embedding("embedding", kEmbeddingTable, c.vocab_rows, c.d_model);
  for (int64_t i = 0; i < c.layers; ++i) {
    g.SetLayer(static_cast<int>(i));
    const std::string block = fmt::format("backbone.layers.{}.", i);
    const std::string mixer = block + "mixer.";
    const ValueId u_norm = g.RmsNorm("u_norm", u, block + "norm.weight", c.norm_eps);
    const ValueId zxbcdt = g.Linear("zxbcdt", u_norm, mixer + "in_proj.weight",
                                    optional(mixer + "in_proj.bias"), c.d_in_proj());
    const auto [z, xbc_in, dt_in] =
        g.Split<3>(zxbcdt, {"z", "xBC_in", "dt_in"}, {c.d_inner(), c.d_xbc(), c.heads});
    const ValueId xbc = g.CausalConvSilu("xBC", xbc_in, mixer + "conv1d.weight",
                                         optional(mixer + "conv1d.bias"), c.conv_kernel);
    const auto [x, B, C] = g.Split<3>(xbc, {"x", "B", "C"}, {c.d_inner(), c.d_bc(), c.d_bc()});
    const ValueId dt = g.Softplus("dt", dt_in, mixer + "dt_bias", c.dt_lo, c.dt_hi);
    const ValueId y = g.Ssd("y", x, dt, B, C, mixer + "A_log", mixer + "D", ssd);
    const ValueId y_norm =
        g.GatedRmsNorm("y_norm", y, z, mixer + "norm.weight", c.norm_eps, c.groups);
    const ValueId out = g.Linear("out", y_norm, mixer + "out_proj.weight",
                                 optional(mixer + "out_proj.bias"), c.d_model);
    u = g.Add("residual", u, out);
  }
  return FinishModel(u, c.norm_eps, c.tied, c.vocab_rows, &g);
}

}  // namespace octet
