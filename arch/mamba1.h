// Mamba language models (Gu & Dao 2023, arXiv:2312.00752), and FalconMamba (Zuo et al. 2024,
// arXiv:2410.05355), which normalises dt_low, B and C.
#ifndef OCTET_ARCH_MAMBA1_H_
#define OCTET_ARCH_MAMBA1_H_

#include <cstdint>

#include "arch/architecture.h"

namespace octet {

// Sizes as the tensors have them, the rest from config.json. Letters: I inner size, N state size, R
// rank of dt.
struct Mamba1Config {
  int64_t d_model = 0, layers = 0, vocab_rows = 0;
  int64_t d_inner = 0, state_size = 0, dt_rank = 0, conv_kernel = 0;
  float norm_eps = 1e-5f;
  bool mixer_norms = false;  // FalconMamba: un-weighted RMSNorm of dt_low, B and C
  float mixer_eps = 1e-6f;   // eps of those
  bool tied = false;         // the head is the embedding
  int64_t d_x_proj() const { return dt_rank + 2 * state_size; }
};

// model_type "mamba", or state-spaces' spelling with ssm_cfg.layer absent or "Mamba1".
bool IsMamba1(const Json& config);
// model_type "falcon_mamba".
bool IsFalconMamba(const Json& config);

// See ArchSpec::build. Accepts Hugging Face and state-spaces names and keys; FalconMamba where the
// config says so.
Result<Architecture> BuildMamba1(const Json& config, const WeightMap& weights);

// The only description of the block. `weights` tells which optional biases exist. Sites: u_norm,
// xz, x_in, z, x, x_dbl, dt_low, B, C, dt_in, dt, y, y_gate, out, residual; with mixer_norms the
// parts of x_dbl are dt_low_in, B_in and C_in.
Graph Mamba1Graph(const Mamba1Config& c, const WeightMap& weights);

}  // namespace octet
#endif  // OCTET_ARCH_MAMBA1_H_
