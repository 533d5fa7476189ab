// Configs in both spellings for the checkpoints of graph/block_testing.h.
#ifndef OCTET_ARCH_MAMBA2_TESTING_H_
#define OCTET_ARCH_MAMBA2_TESTING_H_

#include <string>
#include <utility>

#include "arch/architecture.h"
#include "graph/block_testing.h"

namespace octet {

// Every value agrees with the tensors.
inline Json HuggingFaceConfig(const BlockSizes& s) {
  Json c = Json::MakeObject();
  c.Set("model_type", "mamba2");
  c.Set("hidden_size", s.d_model);
  c.Set("num_hidden_layers", s.layers);
  c.Set("vocab_size", s.rows);
  c.Set("num_heads", s.heads);
  c.Set("head_dim", s.head_dim);
  c.Set("state_size", s.state_size);
  c.Set("n_groups", s.groups);
  c.Set("conv_kernel", s.taps);
  c.Set("chunk_size", s.chunk_size);
  c.Set("expand", 2);
  c.Set("use_bias", s.biases);
  c.Set("use_conv_bias", true);
  c.Set("tie_word_embeddings", s.tied);
  c.Set("layer_norm_epsilon", 1e-5);
  c.Set("hidden_act", "silu");
  return c;
}

inline Json StateSpacesConfig(const BlockSizes& s) {
  Json ssm = Json::MakeObject();
  ssm.Set("layer", "Mamba2");
  ssm.Set("d_state", s.state_size);
  ssm.Set("ngroups", s.groups);
  ssm.Set("headdim", s.head_dim);
  ssm.Set("d_conv", s.taps);
  ssm.Set("chunk_size", s.chunk_size);
  Json c = Json::MakeObject();
  c.Set("d_model", s.d_model);
  c.Set("d_intermediate", 0);
  c.Set("n_layer", s.layers);
  c.Set("vocab_size", s.rows);
  c.Set("ssm_cfg", std::move(ssm));
  c.Set("attn_layer_idx", Json::MakeArray());
  c.Set("rms_norm", true);
  c.Set("tie_embeddings", s.tied);
  c.Set("pad_vocab_size_multiple", 16);
  return c;
}

inline Json With(Json object, const std::string& key, Json value) {
  object.Set(key, std::move(value));
  return object;
}

inline Json Without(Json object, const std::string& key) {
  object.Erase(key);
  return object;
}

// The attributes of the first Ssd.
inline SsdAttributes SsdOf(const Architecture& a) {
  for (const Node& n : a.graph.nodes) {
    if (n.op == Op::kSsd) return n.ssd;
  }
  return {};
}

}  // namespace octet
#endif  // OCTET_ARCH_MAMBA2_TESTING_H_
