// S4D classifiers of sequences (Gu et al. 2022, arXiv:2206.11893; quantized in arXiv:2506.12480).
#ifndef OCTET_ARCH_S4D_H_
#define OCTET_ARCH_S4D_H_

#include <cstdint>

#include "arch/architecture.h"

namespace octet {

enum class S4dNorm : uint8_t {
  kNone,
  kPre,
  kPost
};  // LayerNorm before the layer, or after the sum

// Sizes as the tensors have them, the rest from config.json.
struct S4dConfig {
  int64_t d_input = 0, d_model = 0, d_output = 0, layers = 0;
  S4dAttributes s4d;
  S4dNorm norm = S4dNorm::kPost;
  float norm_eps = 1e-5f;
  GeluForm gelu = GeluForm::kExact;
};

// model_type "s4d".
bool IsS4d(const Json& config);

// See ArchSpec::build. Names are those of the example.py of state-spaces/s4, with or without a
// prefix "model.":
//   encoder.{weight,bias}, decoder.{weight,bias}
//   s4_layers.<i>.D [H], .kernel.{log_dt [H], log_A_real, A_imag [H, N], C [H, N, 2]}
//   s4_layers.<i>.kernel.B [H, N, 2]            optional: ones
//   s4_layers.<i>.output_linear.0.{weight [2 H, H] or [2 H, H, 1], bias [2 H]}
//   norms.<i>.{weight,bias} [H]                 where there is a norm
// config.json may say, with the defaults first:
//   "discretization": "zoh" | "bilinear" | "none": the layers have .kernel.{A, B, C [H, N, 2]}, A
//   and
//       B those of the recurrence, in place of log_dt, log_A_real, A_imag
//   "real_transform": "exp" | "relu" | "softplus" | "sigmoid" | "none"   (RealPart)
//   "norm": "post" | "pre" | "none"; absent: "post" where the checkpoint has norms, else "none"
//   "norm_eps": 1e-5
//   "gelu": "exact" | "piecewise"
// and d_input, d_model, d_output, n_layers and n_modes, which are warned of where they are wrong.
Result<Architecture> BuildS4d(const Json& config, const WeightMap& weights);

// The only description of the model. Sites: frames, encoder; of a block y, gelu, z, glu, residual,
// and u_norm (pre-norm) or norm (post-norm); mean, logits.
Graph S4dGraph(const S4dConfig& c, const WeightMap& weights);

}  // namespace octet
#endif  // OCTET_ARCH_S4D_H_
