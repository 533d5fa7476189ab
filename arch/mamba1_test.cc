// Contracts of Mamba and FalconMamba:
//  1. A config that agrees with the tensors gives the graph of the paper, without warnings, in both
//     spellings; FalconMamba has its three norms with the eps of its config.
//  2. Sizes come from the tensors; a config that contradicts them is corrected, with a warning that
//     names both values.
//  3. A missing, extra or misshapen tensor is an error that names it; nonsense in the config is
//     kInvalidArgument naming the key.
//  4. model_type decides the spelling; without it ssm_cfg.layer, absent or "Mamba1", means Mamba.
#include "arch/mamba1.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/mamba_block_testing.h"

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Json HuggingFace(const MambaBlockSizes& s) {
  Json c = Json::MakeObject();
  c.Set("model_type", s.mixer_norms ? "falcon_mamba" : "mamba");
  c.Set("hidden_size", s.d_model);
  c.Set("intermediate_size", s.d_inner);
  c.Set("num_hidden_layers", s.layers);
  c.Set("vocab_size", s.rows);
  c.Set("state_size", s.state_size);
  c.Set("time_step_rank", s.dt_rank);
  c.Set("conv_kernel", s.taps);
  c.Set("use_bias", s.biases);
  c.Set("use_conv_bias", s.conv_bias);
  c.Set("layer_norm_epsilon", 1e-5);
  c.Set("hidden_act", "silu");
  if (s.mixer_norms) c.Set("mixer_rms_eps", 1e-6);
  return c;
}

Json StateSpaces(const MambaBlockSizes& s) {
  Json ssm = Json::MakeObject();
  ssm.Set("d_state", s.state_size);
  ssm.Set("dt_rank", s.dt_rank);
  ssm.Set("d_conv", s.taps);
  ssm.Set("bias", s.biases);
  ssm.Set("conv_bias", s.conv_bias);
  Json c = Json::MakeObject();
  c.Set("d_model", s.d_model);
  c.Set("n_layer", s.layers);
  c.Set("vocab_size", s.rows);
  c.Set("ssm_cfg", std::move(ssm));
  return c;
}

Json With(Json object, const std::string& key, Json value) {
  object.Set(key, std::move(value));
  return object;
}

Result<Architecture> Build(const Json& config, const MambaBlockSizes& s = {}) {
  return BuildArchitecture(config, MakeMambaBlockWeights(s, 1));
}

Architecture Built(const Json& config, const MambaBlockSizes& s = {}) {
  Result<Architecture> a = Build(config, s);
  EXPECT_TRUE(a.ok()) << a.status().message();
  return a.ok() ? *std::move(a) : Architecture();
}

TEST(Mamba, BothSpellingsGiveTheGraphOfThePaper) {
  for (const bool biases : {false, true}) {
    for (const bool tied : {false, true}) {
      MambaBlockSizes s;
      s.layers = 3;
      s.biases = biases;
      s.conv_bias = !biases;
      s.tied = tied;
      for (const Json& config : {HuggingFace(s), StateSpaces(s)}) {
        const Architecture a = Built(config, s);
        EXPECT_EQ(ToText(a.graph), ToText(MakeMambaBlocks(s)));
        EXPECT_THAT(a.warnings, IsEmpty());
        EXPECT_EQ(a.model_type, "mamba");
        EXPECT_EQ(a.graph.layers, 3);
        EXPECT_EQ(
            a.graph.nodes[static_cast<size_t>(a.graph.FindSite("layers.2.y"))].scan.state_size,
            s.state_size);
      }
    }
  }
}

TEST(Mamba, FalconMambaHasNormsWithTheirOwnEps) {
  const MambaBlockSizes s{.mixer_norms = true};
  const Json config = With(With(HuggingFace(s), "mixer_rms_eps", 2e-3), "layer_norm_epsilon", 3e-4);
  const Architecture a = Built(config, s);
  EXPECT_EQ(ToText(a.graph), ToText(MakeMambaBlocks(s)));
  EXPECT_EQ(a.model_type, "falcon_mamba");
  const auto eps = [&](const char* site) {
    return a.graph.nodes[static_cast<size_t>(a.graph.FindSite(site))].eps;
  };
  for (const char* site : {"layers.0.dt_low", "layers.0.B", "layers.1.C"}) {
    EXPECT_EQ(eps(site), 2e-3f) << site;
  }
  for (const char* site : {"layers.0.u_norm", "layers.1.u_norm", "final_norm"}) {
    EXPECT_EQ(eps(site), 3e-4f) << site;
  }
  Json plain = HuggingFace(s);
  plain.Set("mixer_rms_eps", Json());
  const Architecture defaults = Built(plain, s);
  EXPECT_EQ(
      defaults.graph.nodes[static_cast<size_t>(defaults.graph.FindSite("layers.0.dt_low"))].eps,
      1e-6f);
}

TEST(Mamba, TheTensorsWin) {
  Json c = HuggingFace({});
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size",
                          "state_size", "time_step_rank", "conv_kernel"}) {
    c.Set(key, 77);
  }
  const Architecture a = Built(c);
  EXPECT_EQ(ToText(a.graph), ToText(MakeMambaBlocks({})));
  const auto sentence = [](const char* what, int have) {
    return "config.json says " + std::string(what) + " 77, the tensors have " +
           std::to_string(have) + "; using " + std::to_string(have);
  };
  EXPECT_THAT(a.warnings, ElementsAre(sentence("hidden size", 8), sentence("number of layers", 2),
                                      sentence("vocabulary size", 11), sentence("inner size", 12),
                                      sentence("state size", 5), sentence("rank of dt", 3),
                                      sentence("convolution width", 4)));
  EXPECT_THAT(Built(With(HuggingFace({}), "time_step_rank", "auto")).warnings, IsEmpty());
  Json spaces = StateSpaces({});
  spaces.Set("ssm_cfg", With(*spaces.Find("ssm_cfg"), "dt_rank", "auto"));
  EXPECT_THAT(Built(spaces).warnings, IsEmpty());
}

TEST(Mamba, FamilyAndSpelling) {
  EXPECT_EQ(Built(With(StateSpaces({}), "ssm_cfg", Json::MakeObject())).model_type, "mamba");
  Json layer = StateSpaces({});
  layer.Set("ssm_cfg", With(*layer.Find("ssm_cfg"), "layer", "Mamba1"));
  EXPECT_EQ(Built(layer).model_type, "mamba");
  // Converted checkpoints carry both spellings.
  Json both = With(With(With(HuggingFace({}), "d_model", 99), "ssm_cfg", Json::MakeObject()),
                   "layer_norm_epsilon", 0.25);
  const Architecture a = Built(both);
  EXPECT_THAT(a.warnings, IsEmpty());
  EXPECT_EQ(a.graph.nodes[1].eps, 0.25f);
}

TEST(Mamba, NonsenseInTheConfigIsRefused) {
  const MambaBlockSizes falcon{.mixer_norms = true};
  const auto refused = [&](const Json& config, Code code, const char* part) {
    const Result<Architecture> a = Build(config, falcon);
    EXPECT_EQ(a.status().code(), code) << config.Dump(-1);
    EXPECT_THAT(a.status().message(), HasSubstr(part));
  };
  const Code bad = Code::kInvalidArgument;
  for (const char* key : {"intermediate_size", "time_step_rank", "state_size", "conv_kernel"}) {
    for (const Json& value : {Json(0), Json(-3), Json(1.5), Json("12")}) {
      refused(With(HuggingFace(falcon), key, value), bad, key);
    }
  }
  for (const Json& value : {Json(0), Json(1), Json(-1), Json("x"), Json(1e-60)}) {
    refused(With(HuggingFace(falcon), "mixer_rms_eps", value), bad, "mixer_rms_eps");
    refused(With(HuggingFace(falcon), "layer_norm_epsilon", value), bad, "layer_norm_epsilon");
  }
  refused(With(HuggingFace(falcon), "hidden_act", "gelu"), Code::kUnsupported, "hidden_act");
  refused(With(StateSpaces({}), "d_intermediate", 5), Code::kUnsupported, "MLP");
}

TEST(Mamba, EveryTensorIsNeededInItsShape) {
  MambaBlockSizes s;
  s.biases = true;
  s.tied = false;
  const WeightMap whole = MakeMambaBlockWeights(s, 1);
  ASSERT_TRUE(BuildArchitecture(HuggingFace(s), whole).ok());
  const auto without = [&](const std::string& name) {
    WeightMap part;
    for (const auto& [other, w] : whole.all()) {
      if (other != name) part.Set(other, w);
    }
    return part;
  };
  for (const auto& [name, w] : whole.all()) {
    // The sizes are found in a few tensors, so another one may be named where those change.
    WeightMap longer = without(name);
    std::vector<int64_t> shape = w.shape;
    shape[0] += 1;
    longer.Set(
        name, MakeWeight(std::vector<float>(static_cast<size_t>(w.count() / w.shape[0] * shape[0])),
                         shape));
    const Status misshapen = BuildArchitecture(HuggingFace(s), longer).status();
    EXPECT_EQ(misshapen.code(), Code::kCorrupt) << name;
    EXPECT_THAT(misshapen.message(), HasSubstr("tensor ")) << name;
    if (name == "lm_head.weight") continue;  // absent means tied
    const Status missing = BuildArchitecture(HuggingFace(s), without(name)).status();
    EXPECT_EQ(missing.code(), Code::kNotFound) << name;
    EXPECT_THAT(missing.message(), HasSubstr(name));
  }
  WeightMap more = whole;
  more.Set("backbone.layers.0.mixer.norm.weight", MakeWeight({1}, {1}));
  EXPECT_THAT(BuildArchitecture(HuggingFace(s), more).status().message(),
              HasSubstr("backbone.layers.0.mixer.norm.weight is not part of a Mamba model"));
}

}  // namespace
}  // namespace octet
