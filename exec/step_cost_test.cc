// Contracts of exec/step_cost.h:
// 1. The steps of a program read all its weights but the embedding's, once, and the whole state.
// 2. Products count 2 N K for each token, integer ones where codes meet; what depends on tokens
//    grows with them, what does not stays.
// 3. A chunked Ssd counts what its sums need, one token what the recurrence needs.
// 4. Stages are named by matrix or by operation, alike in all blocks.
#include "exec/step_cost.h"

#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exec/quantized_model_testing.h"
#include "exec/state.h"

namespace octet {
namespace {

struct Sum {
  double weights = 0, state = 0;
};

Sum Total(const QuantizedParts& m, int64_t tokens) {
  const auto program = *Program::Lower(m.graph, m.weights, {kReferenceOnly, false});
  Sum sum;
  for (const StepKernels& k : program->Kernels()) {
    const StepCost c = CostOf(m.graph, m.weights, k, tokens);
    sum.weights += c.weight_bytes;
    sum.state += c.state_bytes;
    EXPECT_GT(c.activation_bytes, 0) << k.site;
    EXPECT_EQ(c.bytes(), c.weight_bytes + c.state_bytes + c.activation_bytes);
  }
  return sum;
}

double WeightsRead(const QuantizedParts& m) {
  std::set<std::string> names;
  for (const Node& n : m.graph.nodes) {
    if (n.op != Op::kEmbedding) names.insert(n.weights.begin(), n.weights.end());
  }
  double bytes = 0;
  for (const std::string& name : names) {
    if (!name.empty()) bytes += static_cast<double>(m.weights.Find(name)->bytes());
  }
  return bytes;
}

TEST(StepCost, CountsAllWeightsAndTheState) {
  for (const QuantizedParts& m :
       {QuantizedParts{MakeBlocks({}), MakeBlockWeights({}, 3)}, MakeQuantizedParts()}) {
    for (const int64_t tokens : {1, 7}) {
      const Sum sum = Total(m, tokens);
      EXPECT_EQ(sum.weights, WeightsRead(m)) << tokens;
      State state(m.graph);
      int64_t moved = 2 * state.bytes();
      for (int layer = 0; layer < m.graph.layers; ++layer) {
        // Of a history only the rows of these tokens are written.
        const ConvHistory& conv = state.conv(layer);
        const int64_t kept = std::max<int64_t>(conv.rows() - tokens, 0);
        moved -= conv.bytes() / conv.rows() * kept;
      }
      EXPECT_NEAR(sum.state, static_cast<double>(moved), 1e-6) << tokens;
    }
  }
}

StepKernels StepOf(const Graph& graph, const std::string& site, bool encoding = false) {
  return {site, "", "", graph.FindSite(site), encoding};
}

TEST(StepCost, OfAProduct) {
  const QuantizedParts m = MakeQuantizedParts();
  const StepKernels step = StepOf(m.graph, "layers.0.zxbcdt");
  const Node& n = m.graph.nodes[static_cast<size_t>(step.node)];
  const auto N = static_cast<double>(n.width);
  const auto K = static_cast<double>(m.weights.Find(n.weights[0])->columns());
  const StepCost one = CostOf(m.graph, m.weights, step, 1);
  const StepCost five = CostOf(m.graph, m.weights, step, 5);
  EXPECT_EQ(one.operations, 2 * N * K);
  EXPECT_EQ(five.operations, 10 * N * K);
  EXPECT_TRUE(one.integer);
  EXPECT_EQ(one.activation_bytes, K + 4 * N) << "codes in, floats out";
  EXPECT_EQ(five.activation_bytes, 5 * one.activation_bytes);
  EXPECT_EQ(five.weight_bytes, one.weight_bytes);
  const StepCost encoding = CostOf(m.graph, m.weights, StepOf(m.graph, "layers.0.u_norm", true), 5);
  EXPECT_EQ(encoding.activation_bytes, 5 * 5 * K);
  EXPECT_EQ(encoding.weight_bytes, 0);
  const QuantizedParts plain = {MakeBlocks({}), MakeBlockWeights({}, 3)};
  EXPECT_FALSE(
      CostOf(plain.graph, plain.weights, StepOf(plain.graph, "layers.0.zxbcdt"), 5).integer);
}

TEST(StepCost, OfAnSsd) {
  const QuantizedParts m = {MakeBlocks({}), MakeBlockWeights({}, 3)};
  const StepKernels step = StepOf(m.graph, "layers.0.y");
  const SsdAttributes& s = m.graph.nodes[static_cast<size_t>(step.node)].ssd;
  const auto H = static_cast<double>(s.heads), P = static_cast<double>(s.head_dim);
  const auto N = static_cast<double>(s.state_size), G = static_cast<double>(s.groups);
  const auto L = static_cast<double>(s.chunk_size);
  EXPECT_EQ(CostOf(m.graph, m.weights, step, 1).operations, 5 * H * P * N);
  // Two whole chunks, pair by pair.
  double want = 0;
  for (int64_t t = 0; t < 2 * s.chunk_size; ++t) {
    want += 4 * H * P * N;
    for (int64_t j = 0; j <= t % s.chunk_size; ++j) {
      want += 2 * G * N + H * (2 * P + 2);
    }
  }
  EXPECT_NEAR(CostOf(m.graph, m.weights, step, static_cast<int64_t>(2 * L)).operations, want, 1e-6);
}

TEST(StepCost, NamesStages) {
  const QuantizedParts m = MakeQuantizedParts();
  const auto program = *Program::Lower(m.graph, m.weights, {kReferenceOnly, false});
  std::map<std::string, int> stages;
  for (const StepKernels& k : program->Kernels()) {
    ++stages[StageOf(m.graph, k)];
  }
  using testing::Pair;
  EXPECT_THAT(stages, testing::UnorderedElementsAre(
                          Pair("in_proj", 2), Pair("out_proj", 2), Pair("head", 1), Pair("conv", 2),
                          Pair("dt", 2), Pair("ssd", 2), Pair("norms", 5), Pair("hadamard", 1),
                          Pair("residual", 2), Pair("encoding", 9)));
}

}  // namespace
}  // namespace octet
