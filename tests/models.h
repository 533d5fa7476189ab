// Small models for tests: made in memory with random weights, or loaded from tests/golden.
#ifndef OCTET_TESTS_MODELS_H_
#define OCTET_TESTS_MODELS_H_

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "arch/mamba1.h"
#include "arch/mamba2.h"
#include "base/rng.h"
#include "graph/random_tensors_testing.h"
#include "runtime/model.h"

namespace octet {

inline constexpr const char* kBooksModel = "models/books-mamba2-5m";
inline constexpr const char* kBooksMamba1 = "models/books-mamba-5m";

struct RandomModel {
  Graph graph;
  WeightMap weights;
};

// Embedding, final norm and head.
template <class Config>
void SetEnds(const Config& c, RandomTensors* set) {
  (*set)("backbone.embeddings.weight", {c.vocab_rows, c.d_model}, -1, 1);
  (*set)("backbone.norm_f.weight", {c.d_model}, 0.5f, 1.5f);
  if (!c.tied) (*set)("lm_head.weight", {c.vocab_rows, c.d_model}, -0.2f, 0.2f);
}

// A Mamba-2 of the given shape whose activations have the scale of a trained model's.
inline RandomModel MakeRandomModel(const Mamba2Config& c, uint64_t seed) {
  RandomModel m;
  RandomTensors set(seed, &m.weights);
  SetEnds(c, &set);
  for (int64_t i = 0; i < c.layers; ++i) {
    const std::string block = fmt::format("backbone.layers.{}.", i);
    const std::string mixer = block + "mixer.";
    const float in = std::sqrt(3.0f / static_cast<float>(c.d_model));
    const float out = std::sqrt(3.0f / static_cast<float>(c.d_inner()));
    set(block + "norm.weight", {c.d_model}, 0.5f, 1.5f);
    set(mixer + "in_proj.weight", {c.d_in_proj(), c.d_model}, -in, in);
    set(mixer + "conv1d.weight", {c.d_xbc(), 1, c.conv_kernel}, -0.8f, 0.8f);
    set(mixer + "conv1d.bias", {c.d_xbc()}, -0.2f, 0.2f);
    set(mixer + "dt_bias", {c.heads}, -4, 0);
    set(mixer + "A_log", {c.heads}, -1, 2);
    set(mixer + "D", {c.heads}, 0.5f, 1.5f);
    set(mixer + "norm.weight", {c.d_inner()}, 0.5f, 1.5f);
    set(mixer + "out_proj.weight", {c.d_model, c.d_inner()}, -out, out);
  }
  m.graph = Mamba2Graph(c, m.weights);
  return m;
}

// The same for a Mamba, or FalconMamba.
inline RandomModel MakeRandomModel(const Mamba1Config& c, uint64_t seed) {
  RandomModel m;
  RandomTensors set(seed, &m.weights);
  SetEnds(c, &set);
  for (int64_t i = 0; i < c.layers; ++i) {
    const std::string block = fmt::format("backbone.layers.{}.", i);
    const std::string mixer = block + "mixer.";
    const float in = std::sqrt(3.0f / static_cast<float>(c.d_model));
    const float out = std::sqrt(3.0f / static_cast<float>(c.d_inner));
    const float rank = std::sqrt(3.0f / static_cast<float>(c.dt_rank));
    set(block + "norm.weight", {c.d_model}, 0.5f, 1.5f);
    set(mixer + "in_proj.weight", {2 * c.d_inner, c.d_model}, -in, in);
    set(mixer + "conv1d.weight", {c.d_inner, 1, c.conv_kernel}, -0.8f, 0.8f);
    set(mixer + "conv1d.bias", {c.d_inner}, -0.2f, 0.2f);
    set(mixer + "x_proj.weight", {c.d_x_proj(), c.d_inner}, -out, out);
    set(mixer + "dt_proj.weight", {c.d_inner, c.dt_rank}, -rank, rank);
    set(mixer + "dt_proj.bias", {c.d_inner}, -4, 0);
    set(mixer + "A_log", {c.d_inner, c.state_size}, -1, 2);
    set(mixer + "D", {c.d_inner}, 0.5f, 1.5f);
    set(mixer + "out_proj.weight", {c.d_model, c.d_inner}, -out, out);
  }
  m.graph = Mamba1Graph(c, m.weights);
  return m;
}

inline Mamba1Config SmallMamba1() {
  Mamba1Config c;
  c.d_model = 48;
  c.layers = 2;
  c.vocab_rows = 61;
  c.d_inner = 80;  // two blocks of channels of unequal size
  c.state_size = 16;
  c.dt_rank = 5;
  c.conv_kernel = 4;
  c.tied = true;
  return c;
}

inline Mamba2Config SmallConfig(int64_t groups) {
  Mamba2Config c;
  c.d_model = 48;  // Hadamard order 12 x 4
  c.layers = 2;
  c.vocab_rows = 61;
  c.heads = 4;
  c.head_dim = 10;  // d_inner 40: factor 20 x 2, whose matrix is not symmetric
  c.state_size = 16;
  c.groups = groups;
  c.conv_kernel = 4;
  c.chunk_size = 16;
  c.dt_hi = std::numeric_limits<float>::infinity();
  c.tied = true;
  return c;
}

inline std::vector<TokenId> RandomTokens(int64_t n, int64_t vocab, uint64_t seed) {
  Rng rng(seed);
  std::vector<TokenId> ids(static_cast<size_t>(n));
  for (TokenId& id : ids) {
    id = static_cast<TokenId>(rng.Below(static_cast<uint64_t>(vocab)));
  }
  return ids;
}

}  // namespace octet
#endif  // OCTET_TESTS_MODELS_H_
