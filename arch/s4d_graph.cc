#include <fmt/format.h>

#include "arch/outer_graph.h"
#include "arch/s4d.h"

namespace octet {
namespace {

std::array<std::string, 6> S4dWeightNames(const S4dConfig& c, const WeightMap& weights,
                                          const std::string& layer) {
  const std::string kernel = layer + "kernel.";
  if (c.s4d.discretization == Discretization::kNone) {
    return {"", kernel + "A", "", kernel + "B", kernel + "C", layer + "D"};
  }
  return {kernel + "log_dt", kernel + "log_A_real",
          kernel + "A_imag", OptionalTensor(weights, kernel + "B"),
          kernel + "C",      layer + "D"};
}

}  // namespace

Graph S4dGraph(const S4dConfig& c, const WeightMap& weights) {
  GraphBuilder g;
  const ValueId frames = g.Frames("frames", c.d_input);
  ValueId u = g.Linear("encoder", frames, "encoder.weight", "encoder.bias", c.d_model);
  for (int64_t i = 0; i < c.layers; ++i) {
    g.SetLayer(static_cast<int>(i));
    const std::string layer = fmt::format("s4_layers.{}.", i);
    const auto normed = [&](const char* site, ValueId x) {
      const std::string norm = fmt::format("norms.{}.", i);
      return g.LayerNorm(site, x, norm + "weight", norm + "bias", c.norm_eps);
    };
    const ValueId u_in = c.norm == S4dNorm::kPre ? normed("u_norm", u) : u;
    const ValueId y = g.S4d("y", u_in, S4dWeightNames(c, weights, layer), c.s4d);
    const ValueId gelu = g.Gelu("gelu", y, c.gelu);
    const ValueId z = g.Linear("z", gelu, layer + "output_linear.0.weight",
                               layer + "output_linear.0.bias", 2 * c.d_model);
    u = g.Add("residual", u, g.Glu("glu", z));
    if (c.norm == S4dNorm::kPost) u = normed("norm", u);
  }
  g.SetLayer(-1);
  const ValueId mean = g.Mean("mean", u);
  return g.Finish(g.Linear("logits", mean, "decoder.weight", "decoder.bias", c.d_output));
}

}  // namespace octet
