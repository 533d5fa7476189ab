// Contracts of quantization passes that need a whole model:
//  1. Rotation leaves the float function unchanged, for every Hadamard construction on either side,
//     odd sizes, biases, D per channel and tied heads.
//  2. Mean correction with g = 1: the mean of the residual stream after every block is the float
//     model's on the calibration data (methods_mamba 2.8.7), also where out_proj had a bias.
//  3. With a factor g the squared error falls by exactly n (2 g - g^2) |c*|^2; g = auto lies
//     between 0 and 1 and trusts many documents more than few.
//  4. Every recipe runs with its defaults for 1, 2, 4 and 8 groups; its options are typed and
//  checked.
#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/block_testing.h"
#include "kernels/hadamard_shape.h"
#include "kernels/isa.h"
#include "quant/passes_testing.h"
#include "tests/models.h"

namespace octet {
namespace {

using Floats = std::vector<float>;

TokenDataset RandomData(int64_t documents, int64_t length, int64_t vocab) {
  TokenDataset data;
  for (int64_t i = 0; i < documents; ++i) {
    // Documents of different lengths, so that means by token and by document differ.
    data.documents.push_back(RandomTokens(length + 7 * i, vocab, 50 + static_cast<uint64_t>(i)));
  }
  return data;
}

double RelativeError(const Floats& got, const Floats& want) {
  EXPECT_EQ(got.size(), want.size());
  double error = 0, norm = 0;
  for (size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    error += std::pow(static_cast<double>(got[i]) - static_cast<double>(want[i]), 2);
    norm += std::pow(static_cast<double>(want[i]), 2);
  }
  return std::sqrt(error / norm);
}

Floats FloatLogits(const Graph& graph, const WeightMap& weights, std::span<const TokenId> ids) {
  const Interpreter interpreter(graph, weights, kReferenceOnly);
  State state(graph);
  Floats logits;
  EXPECT_TRUE(interpreter.Run(ids, &state, nullptr, &logits).ok());
  return logits;
}

TEST(Rotation, EveryConstructionKeepsTheFunction) {
  struct Case {
    int64_t d_model, head_dim;  // d_inner = 4 * head_dim
    const char* outer;          // constructions that must occur
    const char* inner;
  };
  for (const Case& c : {Case{12, 5, "paley1-12", "paley1-20"},
                        {20, 7, "paley1-20", "paley2-28"},
                        {28, 9, "paley2-28", "paley2-36"},
                        {36, 10, "paley2-36", "paley1-20"},
                        {40, 3, "paley1-20", "paley1-12"},
                        {33, 11, "block", "block"},
                        {64, 8, "sylvester", "sylvester"},
                        {50, 25, "block", "block"}}) {
    SCOPED_TRACE(c.d_model);
    for (const bool tied : {true, false}) {
      for (const char* hadamard : {"auto", "block"}) {
        BlockSizes s;
        s.d_model = c.d_model;
        s.head_dim = c.head_dim;
        s.tied = tied;
        s.biases = !tied;
        s.D_per_channel = tied;
        Graph graph = MakeBlocks(s);
        WeightMap weights = MakeBlockWeights(s, 21);
        const auto ids = RandomTokens(20, s.rows, 2);
        const Floats want = FloatLogits(graph, weights, ids);
        ASSERT_TRUE(
            RunPassesOn({RotateResidual(hadamard), RotateOutput(hadamard, true)}, &graph, &weights)
                .ok());
        ASSERT_TRUE(Verify(graph).ok()) << Verify(graph).message();
        EXPECT_LT(RelativeError(FloatLogits(graph, weights, ids), want), 2e-6) << hadamard;
        if (std::string(hadamard) == "block") continue;
        EXPECT_EQ(HadamardId(*MakeHadamardShape(c.d_model, "auto")), c.outer);
        const Node& rotation = graph.nodes[static_cast<size_t>(graph.FindSite("layers.0.y_rot"))];
        EXPECT_EQ(rotation.hadamard, c.inner);
        for (const Node& n : graph.nodes) {  // the norms are folded away
          if (n.op != Op::kRmsNorm && n.op != Op::kGatedRmsNorm) continue;
          EXPECT_THAT(ToF32(*weights.Find(n.weights[0])), testing::Each(1.0f)) << n.site;
        }
      }
    }
  }
}

// Mean over all tokens of the residual stream after each block, [layer][channel].
std::vector<std::vector<double>> StreamMeans(const Graph& graph, const WeightMap& weights,
                                             const TokenDataset& data, bool as_float) {
  const Interpreter interpreter(graph, weights, AllowedIsas());
  std::unique_ptr<Program> program;
  if (!as_float) program = *Program::Lower(graph, weights, {AllowedIsas(), false});
  ThreadPool pool(1);
  ProgramWorkspace workspace(&pool);
  const auto width = static_cast<size_t>(graph.nodes[0].width);
  std::vector<std::vector<double>> means(static_cast<size_t>(graph.layers),
                                         std::vector<double>(width));
  for (const auto& document : data.documents) {
    State state(graph);
    Floats stream = *interpreter.Embed(document);
    for (int layer = 0; layer < graph.layers; ++layer) {
      const Status s = as_float ? interpreter.RunLayer(layer, &stream, &state, nullptr)
                                : program->RunLayer(layer, &stream, &state, &workspace);
      EXPECT_TRUE(s.ok());
      for (size_t i = 0; i < stream.size(); ++i) {
        means[static_cast<size_t>(layer)][i % width] +=
            static_cast<double>(stream[i]) / static_cast<double>(data.tokens());
      }
    }
  }
  return means;
}

double LargestDifference(const std::vector<std::vector<double>>& a,
                         const std::vector<std::vector<double>>& b) {
  double largest = 0;
  for (size_t l = 0; l < a.size(); ++l) {
    for (size_t c = 0; c < a[l].size(); ++c) {
      largest = std::max(largest, std::fabs(a[l][c] - b[l][c]));
    }
  }
  return largest;
}

// Static int8 linears, corrected by `factor`.
struct Corrected {
  Graph graph;
  WeightMap weights;
  WeightMap before;  // without the correction
};

Corrected Correct(const BlockSizes& s, const TokenDataset& data, const std::string& factor) {
  Corrected m{MakeBlocks(s), MakeBlockWeights(s, 31), {}};
  const std::vector<Pass> plain = {
      EncodeSites({{.sites = "u_norm"}, {.sites = "y_norm"}}, {}),
      QuantizeWeights({{.tensors = "linears", .bits = 4, .group = 32}}, 0.01)};
  Graph graph = m.graph;
  m.before = m.weights;
  EXPECT_TRUE(RunPassesOn(plain, &graph, &m.before, data, 2).ok());
  std::vector<Pass> corrected = plain;
  corrected.push_back(RunAsDeployed(factor));
  EXPECT_TRUE(RunPassesOn(corrected, &m.graph, &m.weights, data, 2).ok());
  return m;
}

std::string BiasName(int layer) {
  return LayerTensor(layer, "mixer.out_proj.bias");
}

Floats AddedBias(const Corrected& m, int layer) {
  Floats bias = ToF32(*m.weights.Find(BiasName(layer)));
  if (const Weight* old = m.before.Find(BiasName(layer)); old != nullptr) {
    const Floats base = ToF32(*old);
    for (size_t i = 0; i < bias.size(); ++i) {
      bias[i] -= base[i];
    }
  }
  return bias;
}

BlockSizes CorrectionSizes(bool biases) {
  BlockSizes s;
  s.layers = 3;
  s.d_model = 24;
  s.rows = 40;
  s.biases = biases;
  return s;
}

TEST(MeanCorrection, MatchesTheMeansOfTheFloatModelAfterEveryBlock) {
  for (const bool biases : {false, true}) {
    const BlockSizes s = CorrectionSizes(biases);
    const TokenDataset data = RandomData(5, 60, s.rows);
    const auto want = StreamMeans(MakeBlocks(s), MakeBlockWeights(s, 31), data, true);
    const Corrected m = Correct(s, data, "1");
    EXPECT_TRUE(Verify(m.graph).ok());
    const double error = LargestDifference(StreamMeans(m.graph, m.weights, data, false), want);
    EXPECT_LT(error, 1e-5);
    Graph plain = m.graph;
    if (!biases) {
      for (Node& n : plain.nodes) {
        if (n.site.ends_with(".out")) n.weights[1] = "";
      }
    }
    EXPECT_GT(LargestDifference(StreamMeans(plain, m.before, data, false), want), 100 * error)
        << "there was nothing to correct";
  }
}

// Sum over tokens and channels of (float output - quantized output of block 0)^2, and their number.
double SquaredError(const Graph& graph, const WeightMap& weights, const BlockSizes& s,
                    const TokenDataset& data) {
  const Graph float_graph = MakeBlocks(s);
  const WeightMap float_weights = MakeBlockWeights(s, 31);
  const Interpreter reference(float_graph, float_weights, AllowedIsas());
  const auto program = *Program::Lower(graph, weights, {AllowedIsas(), false});
  ThreadPool pool(1);
  ProgramWorkspace workspace(&pool);
  double error = 0;
  for (const auto& document : data.documents) {
    State a(float_graph), b(graph);
    Floats want = *reference.Embed(document), got = want;
    EXPECT_TRUE(reference.RunLayer(0, &want, &a, nullptr).ok());
    EXPECT_TRUE(program->RunLayer(0, &got, &b, &workspace).ok());
    for (size_t i = 0; i < want.size(); ++i) {
      error += std::pow(static_cast<double>(want[i]) - static_cast<double>(got[i]), 2);
    }
  }
  return error;
}

TEST(MeanCorrection, ErrorFallsByTheProvenAmount) {
  const BlockSizes s = CorrectionSizes(false);
  const TokenDataset data = RandomData(5, 60, s.rows);
  const Corrected full = Correct(s, data, "1");
  Graph plain = full.graph;
  for (Node& n : plain.nodes) {
    if (n.site.ends_with(".out")) n.weights[1] = "";
  }
  const double none = SquaredError(plain, full.before, s, data);
  double c2 = 0;
  for (const float c : AddedBias(full, 0)) {
    c2 += static_cast<double>(c) * static_cast<double>(c);
  }
  const double gain = static_cast<double>(data.tokens()) * c2;
  ASSERT_GT(gain, 0);
  for (const double g : {0.1, 0.15, 0.5, 1.0}) {
    const Corrected m = Correct(s, data, fmt::format("{}", g));
    EXPECT_NEAR((none - SquaredError(m.graph, m.weights, s, data)) / gain, 2 * g - g * g, 2e-3)
        << g;
  }
  const Corrected zero = Correct(s, data, "0");
  EXPECT_EQ(zero.weights.Find(BiasName(0)), nullptr) << "a factor of zero adds nothing";
}

// The factor that auto chose, per channel of block 0.
std::vector<double> Factors(const BlockSizes& s, const TokenDataset& data) {
  const Floats full = AddedBias(Correct(s, data, "1"), 0);
  const Floats chosen = AddedBias(Correct(s, data, "auto"), 0);
  std::vector<double> g;
  for (size_t i = 0; i < full.size(); ++i) {
    g.push_back(static_cast<double>(chosen[i]) / static_cast<double>(full[i]));
  }
  return g;
}

TEST(MeanCorrection, AutoTrustsManyDocumentsMore) {
  const BlockSizes s = CorrectionSizes(false);
  const auto mean = [&](int64_t documents) {
    double sum = 0;
    const std::vector<double> factors = Factors(s, RandomData(documents, 30, s.rows));
    for (const double g : factors) {
      EXPECT_GE(g, 0);
      EXPECT_LE(g, 1 + 1e-6);
      sum += g / static_cast<double>(factors.size());
    }
    return sum;
  };
  const double few = mean(3), many = mean(60);
  EXPECT_LT(few, many);
  EXPECT_GT(many, 0.5);
  // Documents that all say the same leave no doubt.
  TokenDataset same;
  same.documents.assign(4, RandomTokens(50, s.rows, 1));
  for (const double g : Factors(s, same)) {
    EXPECT_NEAR(g, 1, 1e-4);
  }
}

TEST(Recipes, DefaultsRunForEveryNumberOfGroups) {
  for (const int64_t groups : {1, 2, 4, 8}) {
    Mamba2Config c = SmallConfig(groups);
    c.heads = 8;
    c.head_dim = 5;
    const RandomModel m = MakeRandomModel(c, 7);
    const auto ids = RandomTokens(40, c.vocab_rows, 8);
    const Floats want = FloatLogits(m.graph, m.weights, ids);
    for (const Recipe& recipe : Recipes()) {
      ThreadPool pool(2);
      if (recipe.only.value_or(Family::kMamba2) != Family::kMamba2) continue;
      const RecipeRun run = *PlanRecipe(recipe, Json(), Family::kMamba2);
      const auto q =
          Quantize(run, m.graph, m.weights, RandomData(4, 70, c.vocab_rows), Json(), &pool, {});
      ASSERT_TRUE(q.ok()) << recipe.name << groups << q.status().message();
      const auto model = Model::Create(q->graph, q->weights, Json(), std::nullopt, {});
      ASSERT_TRUE(model.ok()) << recipe.name << groups << model.status().message();
      ProgramWorkspace workspace(&pool);
      State state(q->graph);
      Floats got;
      ASSERT_TRUE((*model)
                      ->program()
                      .Run(ids, &state, &workspace,
                           [&](int64_t, int64_t rows, const float* logits) {
                             got.insert(got.end(), logits, logits + rows * c.vocab_rows);
                           })
                      .ok());
      // Random weights have no redundancy: 4 bits cost about a third of the signal here.
      const bool int4 = std::string(recipe.name).find("w4a") != std::string::npos;
      EXPECT_LT(RelativeError(got, want), int4 ? 0.5 : 0.15) << recipe.name << groups;
    }
  }
}

TEST(Options, AreTypedAndChecked) {
  const Recipe* recipe = *FindRecipe("ssdi8-plus-w4a8");
  const auto parse = [&](const char* key, Json value) {
    Json o = Json::MakeObject();
    o.Set(key, std::move(value));
    return RecipeOptions::Parse(recipe->options(), o);
  };
  EXPECT_EQ(parse("group", "64")->Int("group"), 64);
  EXPECT_THAT(parse("groups", 64).status().message(), testing::HasSubstr("unknown option groups"));
  EXPECT_THAT(parse("group", "x").status().message(), testing::HasSubstr("between 32 and 1024"));
  EXPECT_THAT(parse("state", "i4").status().message(), testing::HasSubstr("f32, f16, f16+sr, i16"));
  EXPECT_THAT(FindRecipe("gptq9").status().message(), testing::HasSubstr("ssdi8-w8a8"));
  const RandomModel m = MakeRandomModel(SmallConfig(1), 1);
  ThreadPool pool(1);
  const Result<QuantizedModel> none = Quantize(*PlanRecipe(*recipe, Json(), Family::kMamba2),
                                               m.graph, m.weights, {}, Json(), &pool, {});
  EXPECT_THAT(none.status().message(), testing::HasSubstr("needs calibration text"));
}

}  // namespace
}  // namespace octet
