// Mamba-2 language models (Dao & Gu 2024, arXiv:2405.21060).
#ifndef OCTET_ARCH_MAMBA2_H_
#define OCTET_ARCH_MAMBA2_H_

#include <cstdint>
#include <string>
#include <vector>

#include "arch/architecture.h"

namespace octet {

// Sizes as the tensors have them, the rest from config.json. Letters: methods_mamba 0.3.
struct Mamba2Config {
  int64_t d_model = 0, layers = 0, vocab_rows = 0;
  int64_t heads = 0, head_dim = 0, state_size = 0, groups = 0, conv_kernel = 0;
  int64_t chunk_size = 256;  // free in exact arithmetic; static int8 scales depend on it
  float norm_eps = 1e-5f;
  float dt_lo = 0, dt_hi = 0;  // time_step_limit, applied after softplus
  bool tied = false;           // the head is the embedding
  int64_t d_inner() const { return heads * head_dim; }
  int64_t d_bc() const { return groups * state_size; }
  int64_t d_xbc() const { return d_inner() + 2 * d_bc(); }
  int64_t d_in_proj() const { return d_inner() + d_xbc() + heads; }
};

bool IsMamba2(const Json& config);

// See ArchSpec::build. Accepts Hugging Face and state-spaces names and keys.
Result<Architecture> BuildMamba2(const Json& config, const WeightMap& weights);

// The only description of the block. `weights` tells which optional biases exist.
Graph Mamba2Graph(const Mamba2Config& c, const WeightMap& weights);

}  // namespace octet
#endif  // OCTET_ARCH_MAMBA2_H_
