// A small quantized model put together by hand, for tests of executors and the format.
#ifndef OCTET_EXEC_QUANTIZED_MODEL_TESTING_H_
#define OCTET_EXEC_QUANTIZED_MODEL_TESTING_H_

#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "graph/block_testing.h"
#include "tensor/codecs/uniform.h"

namespace octet {

struct QuantizedParts {
  Graph graph;
  WeightMap weights;
};

// Codes 1, 2, ... of a weight's shape, with `scales` scales (1 or one for each row).
inline Weight Int8Codes(const Weight& like, size_t scales) {
  std::vector<std::byte> codes(static_cast<size_t>(like.count()));
  for (size_t i = 0; i < codes.size(); ++i) {
    codes[i] = static_cast<std::byte>(static_cast<int8_t>(static_cast<int>(i * 37 % 255) - 127));
  }
  Weight w = MakeWeight(DType::kI8, std::move(codes), like.shape);
  auto row_scale = std::make_shared<std::vector<float>>();
  for (size_t i = 0; i < scales; ++i) {
    row_scale->push_back(RoundScale(0.003f + 0.0001f * static_cast<float>(i)));
  }
  w.row_scale = std::move(row_scale);
  return w;
}

// 4-bit codes with groups of 32 columns; `like` is a matrix.
inline Weight Int4Codes(const Weight& like) {
  const int64_t row_bytes = BytesOf(DType::kI4, like.columns());
  std::vector<std::byte> codes(static_cast<size_t>(like.rows() * row_bytes));
  for (size_t i = 0; i < codes.size(); ++i) {
    codes[i] = static_cast<std::byte>(i * 29 + 3);
  }
  Weight w = MakeWeight(DType::kI4, std::move(codes), like.shape);
  const auto rows = static_cast<size_t>(like.rows());
  w.row_scale = std::make_shared<std::vector<float>>(rows, RoundScale(0.001f));
  w.group = 32;
  auto groups = std::make_shared<std::vector<uint8_t>>();
  for (size_t i = 0; i < rows * static_cast<size_t>((like.columns() + 31) / 32); ++i) {
    groups->push_back(static_cast<uint8_t>(1 + i % 127));
  }
  w.group_scale = std::move(groups);
  return w;
}

inline std::vector<float> TestScales(size_t n, float from) {
  std::vector<float> scales;
  for (size_t i = 0; i < n; ++i) {
    scales.push_back(RoundScale(from * (1 + 0.25f * static_cast<float>(i))));
  }
  return scales;
}

// in_proj int8 with a scale per row, out_proj int4 on 33 columns (odd, two groups), A_log int8, an
// int8 Ssd with static scales in layer 0 and scales per chunk in layer 1, a Hadamard node of order
// 1 in layer 0, "u_norm" static, the input of out_proj per token, "x" static in layer 1.
inline BlockSizes QuantizedSizes() {
  BlockSizes s;
  s.heads = 3;
  s.head_dim = 11;
  s.groups = 1;
  return s;
}

inline QuantizedParts MakeQuantizedParts(bool gate_q7 = false) {
  const BlockSizes s = QuantizedSizes();
  QuantizedParts q{MakeBlocks(s), MakeBlockWeights(s, 5)};
  InsertHadamard(&q.graph, q.graph.FindSite("layers.0.out"), "block");
  const auto encode = [&](int layer, const char* site, ScaleSource source, size_t n, float from) {
    q.graph.encodings[fmt::format("layers.{}.{}", layer, site)] = {DType::kI8, source,
                                                                   TestScales(n, from)};
  };
  for (const int layer : {0, 1}) {
    const auto tensor = [&](const char* name) { return LayerTensor(layer, name); };
    const Weight in = *q.weights.Find(tensor("mixer.in_proj.weight"));
    q.weights.Set(tensor("mixer.in_proj.weight"), Int8Codes(in, static_cast<size_t>(in.rows())));
    q.weights.Set(tensor("mixer.out_proj.weight"),
                  Int4Codes(*q.weights.Find(tensor("mixer.out_proj.weight"))));
    q.weights.Set(tensor("mixer.A_log"), Int8Codes(*q.weights.Find(tensor("mixer.A_log")), 1));
    encode(layer, "u_norm", ScaleSource::kStatic, 1, 0.02f);
    encode(layer, layer == 0 ? "y_rot" : "y_norm", ScaleSource::kPerToken, 0, 0);
    if (layer == 1) encode(layer, "x", ScaleSource::kStatic, 3, 0.01f);  // its reader wants floats
    encode(layer, "B", ScaleSource::kStatic, 1, 0.01f);
    encode(layer, "C", ScaleSource::kStatic, 1, 0.01f);
    const auto inner = layer == 0 ? ScaleSource::kStatic : ScaleSource::kPerChunk;
    encode(layer, "ssd.x_scaled", inner, layer == 0 ? 33 : 0, 0.002f);
    encode(layer, "ssd.score", inner, layer == 0 ? 1 : 0, 0.01f);
    encode(layer, "ssd.state", inner, layer == 0 ? 33 : 0, 0.002f);
    const auto y = static_cast<size_t>(q.graph.FindSite(fmt::format("layers.{}.y", layer)));
    q.graph.nodes[y].ssd.int8 = true;
    q.graph.nodes[y].ssd.gate_q7 = gate_q7 && layer == 0;
  }
  q.graph.state.codec = StateCodec::kF16;
  return q;
}

}  // namespace octet
#endif  // OCTET_EXEC_QUANTIZED_MODEL_TESTING_H_
