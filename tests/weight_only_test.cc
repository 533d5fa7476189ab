// Contracts, for Mamba-2 and Mamba models whose weights are codes and whose activations are floats
// (w8a16, w4a16), tied and not:
//  1. The simulated run and the program agree bit for bit on the reference kernels, prefill and
//     decode; so they do when the head's input is encoded.
//  2. Through a file and back: the same codes and scales, the same logits bit for bit.
//  3. Every instruction set is within fp32 rounding of the reference.
//  4. The distance from the float model is what the width of the codes allows.
#include <algorithm>
#include <bit>
#include <cmath>
#include <ostream>

#include <gtest/gtest.h>

#include "exec/program.h"
#include "exec/quantized_format.h"
#include "exec/simulate.h"
#include "io/safetensors.h"
#include "io/scratch_folder.h"
#include "kernels/isa.h"
#include "quant/int4_grid.h"
#include "quant/weight_codes.h"
#include "tensor/codecs/uniform.h"
#include "tests/models.h"

namespace octet {
namespace {

using Logits = std::vector<float>;

struct Case {
  const char* name;
  bool mamba2;
  bool tied;
  DType linears, tables;
  double kl_limit;  // nats per token, some times what these random weights give
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

class WeightOnlyTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const Case& c = GetParam();
    model_ = Make(c);
    codes_ = model_.weights;
    ThreadPool pool(2);
    for (const Node& n : model_.graph.nodes) {
      if (n.op != Op::kLinear && n.op != Op::kEmbedding) continue;
      const Weight w = *model_.weights.Find(n.weights[0]);
      const DType dtype = n.layer < 0 ? c.tables : c.linears;
      codes_.Set(n.weights[0], dtype == DType::kI8
                                   ? EncodeRowsInt8(w, &pool)
                                   : QuantizeInt4Rtn(w, 32, Int4Step::kAbsMax, &pool));
    }
  }

  static RandomModel Make(const Case& c) {
    if (c.mamba2) {
      Mamba2Config config = SmallConfig(2);
      config.tied = c.tied;
      return MakeRandomModel(config, 31);
    }
    Mamba1Config config = SmallMamba1();
    config.tied = c.tied;
    return MakeRandomModel(config, 31);
  }

  // Of a prefill of 40 tokens and a decode of 3.
  static Logits Run(const Graph& graph, const WeightMap& weights, IsaMask isas) {
    const auto program = Program::Lower(graph, weights, {isas, false});
    EXPECT_TRUE(program.ok()) << program.status().message();
    ThreadPool pool(2);
    ProgramWorkspace workspace(&pool);
    State state(graph);
    Logits all;
    const auto append = [&](int64_t, int64_t rows, const float* logits) {
      all.insert(all.end(), logits, logits + rows * graph.vocab_rows);
    };
    const std::vector<TokenId> ids = RandomTokens(43, graph.vocab_rows, 5);
    size_t begin = 0;
    for (const size_t count : {40, 1, 1, 1}) {
      EXPECT_TRUE(
          (*program)->Run(std::span(ids).subspan(begin, count), &state, &workspace, append).ok());
      begin += count;
    }
    return all;
  }

  static Logits RunSimulated(const Graph& graph, const WeightMap& weights) {
    const Interpreter interpreter(graph, weights, kReferenceOnly);
    SimulationTap tap(graph);
    State state(graph);
    Logits all, part;
    const std::vector<TokenId> ids = RandomTokens(43, graph.vocab_rows, 5);
    size_t begin = 0;
    for (const size_t count : {40, 1, 1, 1}) {
      EXPECT_TRUE(interpreter.Run(std::span(ids).subspan(begin, count), &state, &tap, &part).ok());
      all.insert(all.end(), part.begin(), part.end());
      begin += count;
    }
    return all;
  }

  static int64_t BitDifferences(const Logits& a, const Logits& b) {
    EXPECT_EQ(a.size(), b.size());
    int64_t n = 0;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      n += std::bit_cast<uint32_t>(a[i]) != std::bit_cast<uint32_t>(b[i]);
    }
    return n;
  }

  // Mean KL(p || q) of softmaxed rows, nats.
  double MeanKl(const Logits& p, const Logits& q) const {
    const auto vocab = static_cast<size_t>(model_.graph.vocab_rows);
    const auto log_sum = [&](const float* row) {
      double sum = 0;
      for (size_t i = 0; i < vocab; ++i) {
        sum += std::exp(static_cast<double>(row[i]));
      }
      return std::log(sum);
    };
    double kl = 0;
    for (size_t r = 0; r < p.size(); r += vocab) {
      const double p_sum = log_sum(p.data() + r), q_sum = log_sum(q.data() + r);
      for (size_t i = r; i < r + vocab; ++i) {
        const double log_p = static_cast<double>(p[i]) - p_sum;
        kl += std::exp(log_p) * (log_p - (static_cast<double>(q[i]) - q_sum));
      }
    }
    return kl * static_cast<double>(vocab) / static_cast<double>(p.size());
  }

  RandomModel model_;
  WeightMap codes_;
};

TEST_P(WeightOnlyTest, SimulatedRunIsTheProgram) {
  Graph graph = model_.graph;
  const Logits floats = Run(graph, codes_, kReferenceOnly);
  EXPECT_EQ(BitDifferences(floats, RunSimulated(graph, codes_)), 0);
  graph.encodings["final_norm"] = {DType::kI8, ScaleSource::kPerToken, {}};
  const Logits integers = Run(graph, codes_, kReferenceOnly);
  EXPECT_EQ(BitDifferences(integers, RunSimulated(graph, codes_)), 0);
  EXPECT_NE(integers, floats);
}

TEST_P(WeightOnlyTest, SurvivesAFile) {
  const ScratchFolder folder;
  const std::string path = folder.path() + "/model.safetensors";
  ASSERT_TRUE(WriteSafetensors(path, StoredTensors(model_.graph, codes_), {}).ok());
  const Result<WeightMap> stored = ReadSafetensors(path);
  ASSERT_TRUE(stored.ok()) << stored.status().message();
  WeightMap encodings;
  const Json description = DescribeQuantization(model_.graph, codes_);
  const Result<WeightMap> weights = AttachScales(description, *stored, &encodings);
  ASSERT_TRUE(weights.ok()) << weights.status().message();
  for (const auto& [name, w] : codes_.all()) {
    const Weight* back = weights->Find(name);
    ASSERT_NE(back, nullptr) << name;
    EXPECT_EQ(back->dtype, w.dtype) << name;
    EXPECT_EQ(back->shape, w.shape) << name;
    EXPECT_EQ(ToF32(*back), ToF32(w)) << name;
  }
  Graph graph = model_.graph;
  ASSERT_TRUE(ApplyQuantization(description, encodings, &graph).ok());
  EXPECT_EQ(BitDifferences(Run(graph, *weights, kAllIsas), Run(graph, codes_, kAllIsas)), 0);
}

TEST_P(WeightOnlyTest, EveryIsaIsCloseToTheReference) {
  const Logits want = Run(model_.graph, codes_, kReferenceOnly);
  for (const std::string& isa : AvailableIsas()) {
    ASSERT_TRUE(ForceIsa(isa).ok());
    const Logits got = Run(model_.graph, codes_, AllowedIsas());
    double error = 0, norm = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      error += std::pow(static_cast<double>(got[i]) - static_cast<double>(want[i]), 2);
      norm += std::pow(static_cast<double>(want[i]), 2);
    }
    EXPECT_LT(std::sqrt(error / norm), 2e-6) << isa;
  }
  ASSERT_TRUE(ForceIsa("native").ok());
}

TEST_P(WeightOnlyTest, StaysNearTheFloatModel) {
  const Logits want = Run(model_.graph, model_.weights, kReferenceOnly);
  const double kl = MeanKl(want, Run(model_.graph, codes_, kReferenceOnly));
  EXPECT_GT(kl, 0);
  EXPECT_LT(kl, GetParam().kl_limit);
}

constexpr DType k8 = DType::kI8, k4 = DType::kI4;
INSTANTIATE_TEST_SUITE_P(Models, WeightOnlyTest,
                         testing::Values(Case{"mamba2_w8", true, true, k8, k8, 0.005},
                                         Case{"mamba2_w8_own_head", true, false, k8, k8, 0.005},
                                         Case{"mamba2_w4", true, true, k4, k4, 0.5},
                                         Case{"mamba2_w4_head8", true, false, k4, k8, 0.5},
                                         Case{"mamba_w8", false, true, k8, k8, 0.005},
                                         Case{"mamba_w4", false, true, k4, k4, 0.5},
                                         Case{"mamba_w8_head4", false, false, k8, k4, 0.5}),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace octet
