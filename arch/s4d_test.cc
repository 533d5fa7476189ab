// Contracts of S4D:
//  1. A checkpoint gives the graph of the example of state-spaces/s4: with its names or under
//     "model.", its convolutions of width 1 being matrices, B trained or absent.
//  2. The words of config.json choose the forms; without "norm" the checkpoint decides; other words
//     are kInvalidArgument listing the choices.
//  3. A missing, extra or misshapen tensor is an error that names it.
#include "arch/s4d.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/s4d_block_testing.h"

namespace octet {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Json Config(const std::string& more = "") {
  return *Json::Parse(R"({"model_type": "s4d")" + more + "}");
}

Architecture Built(const Json& config, const WeightMap& weights) {
  Result<Architecture> a = BuildArchitecture(config, weights);
  EXPECT_TRUE(a.ok()) << a.status().message();
  return a.ok() ? *std::move(a) : Architecture();
}

std::string Error(const Json& config, const WeightMap& weights) {
  return BuildArchitecture(config, weights).status().message();
}

TEST(S4d, CheckpointsGiveTheGraphOfTheExample) {
  for (const S4dBlockSizes& s :
       {S4dBlockSizes{}, S4dBlockSizes{.d_input = 1, .layers = 1, .trained_b = true},
        S4dBlockSizes{.modes = 1, .norms = false}}) {
    const WeightMap plain = MakeS4dBlockWeights(s, 1);
    WeightMap nested;
    for (const auto& [name, weight] : plain.all()) {
      Weight w = weight;
      if (name.ends_with("output_linear.0.weight")) w.shape.push_back(1);
      nested.Set("model." + name, std::move(w));
    }
    for (const WeightMap& weights : {plain, nested}) {
      const Architecture a = Built(Config(), weights);
      EXPECT_EQ(ToText(a.graph), ToText(MakeS4dBlocks(s)));
      EXPECT_EQ(a.model_type, "s4d");
      EXPECT_EQ(a.graph.layers, s.layers);
      const Node& y = *FindStateNode(a.graph, 0);
      EXPECT_EQ(y.s4d.modes, s.modes);
      EXPECT_EQ(y.s4d.discretization, Discretization::kZoh);
      EXPECT_EQ(y.s4d.real_part, RealPart::kExp);
    }
  }
}

TEST(S4d, WordsOfTheConfig) {
  const WeightMap weights = MakeS4dBlockWeights({}, 1);
  const Architecture a = Built(Config(R"(, "norm": "pre", "discretization": "bilinear", "norm_eps":
                                      0.01, "real_transform": "softplus", "gelu": "piecewise")"),
                               weights);
  EXPECT_EQ(ToText(a.graph), ToText(MakeS4dBlocks({.pre_norm = true})));
  const Node& y = *FindStateNode(a.graph, 1);
  EXPECT_EQ(y.s4d.discretization, Discretization::kBilinear);
  EXPECT_EQ(y.s4d.real_part, RealPart::kSoftplus);
  const auto node = [&](const char* site) {
    return a.graph.nodes[static_cast<size_t>(a.graph.FindSite(site))];
  };
  EXPECT_EQ(node("layers.0.gelu").gelu, GeluForm::kPiecewise);
  EXPECT_EQ(node("layers.0.u_norm").eps, 0.01f);
  EXPECT_THAT(Error(Config(R"(, "norm": "batch")"), weights),
              AllOf(HasSubstr("norm is \"batch\""), HasSubstr("post, pre, none")));
  EXPECT_THAT(Error(Config(R"(, "discretization": 3)"), weights), HasSubstr("zoh, bilinear"));
  EXPECT_THAT(Error(Config(R"(, "norm_eps": -1)"), weights), HasSubstr("norm_eps"));
}

TEST(S4d, TheTensorsWin) {
  const Architecture a =
      Built(Config(R"(, "d_model": 9, "n_layers": 2, "n_modes": 7)"), MakeS4dBlockWeights({}, 1));
  EXPECT_EQ(ToText(a.graph), ToText(MakeS4dBlocks({})));
  EXPECT_THAT(a.warnings,
              testing::ElementsAre("config.json says d_model 9, the tensors have 6; using 6",
                                   "config.json says n_modes 7, the tensors have 5; using 5"));
}

TEST(S4d, TensorsAreChecked) {
  const WeightMap whole = MakeS4dBlockWeights({}, 1);
  const auto without = [&](const char* name) {
    WeightMap w = whole;
    w.Erase(name);
    return Error(Config(), w);
  };
  const auto with = [&](const char* name, std::vector<int64_t> shape) {
    WeightMap w = whole;
    int64_t count = 1;
    for (const int64_t d : shape) {
      count *= d;
    }
    w.Set(name, MakeWeight(std::vector<float>(static_cast<size_t>(count)), std::move(shape)));
    return Error(Config(), w);
  };
  for (const auto& [name, weight] : whole.all()) {
    if (name == "norms.0.weight" || name == "s4_layers.1.kernel.C")
      continue;  // those say which there are
    EXPECT_THAT(without(name.c_str()), HasSubstr(name));
  }
  EXPECT_THAT(without("norms.0.weight"), HasSubstr("norms.0.bias is not part"));
  EXPECT_THAT(without("s4_layers.1.kernel.C"), HasSubstr("is not part of a S4D model"));
  EXPECT_THAT(with("s4_layers.0.kernel.B", {6, 5}), HasSubstr("s4_layers.0.kernel.B"));
  EXPECT_THAT(with("s4_layers.1.kernel.C", {6, 4, 2}), HasSubstr("s4_layers.1.kernel.C"));
  EXPECT_THAT(with("s4_layers.0.kernel.C", {6, 2}), HasSubstr("s4_layers.0.kernel.C"));
  EXPECT_THAT(with("encoder.weight", {6}), HasSubstr("encoder.weight"));
  EXPECT_THAT(with("extra", {1}), HasSubstr("extra"));
  EXPECT_THAT(with("model.encoder.bias", {6}), HasSubstr("encoder.bias is there with and without"));
}

}  // namespace
}  // namespace octet
