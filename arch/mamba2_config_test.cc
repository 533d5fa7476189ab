// Contracts of config.json, in both spellings:
//  1. A config that agrees with the tensors gives the graph of the paper, without warnings.
//  2. Sizes come from the tensors; a config that contradicts them is corrected, with a warning that
//     names both values, unless the tensors leave more than one model possible.
//  3. Nonsense is kInvalidArgument naming the key, a variant that Octet does not run kUnsupported;
//     null means absent.
//  4. No change to a valid config crashes: it is refused in one sentence, or gives a valid graph.
#include <cstdlib>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "arch/mamba2_testing.h"

namespace octet {
namespace {

// One seed for every run; RC_PARAMS in the environment overrides it.
[[maybe_unused]] const int kFixedSeed =
    setenv("RC_PARAMS", "seed=20 max_success=2000", /*replace=*/0);

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

Result<Architecture> Build(const Json& config, const BlockSizes& sizes = {}) {
  return BuildArchitecture(config, MakeBlockWeights(sizes, 1));
}

Architecture Built(const Json& config, const BlockSizes& sizes = {}) {
  Result<Architecture> a = Build(config, sizes);
  EXPECT_TRUE(a.ok()) << a.status().message();
  return a.ok() ? *std::move(a) : Architecture();
}

void ExpectRefused(const Json& config, Code code, const std::string& part) {
  const Result<Architecture> a = Build(config);
  EXPECT_EQ(a.status().code(), code) << config.Dump(-1);
  EXPECT_THAT(a.status().message(), AllOf(HasSubstr("config.json"), HasSubstr(part)));
}

TEST(Config, BothSpellingsGiveTheGraphOfThePaper) {
  for (const int64_t groups : {1, 2, 4, 8}) {
    BlockSizes s;
    s.heads = 8;
    s.groups = groups;
    s.layers = 3;
    for (const Json& config : {HuggingFaceConfig(s), StateSpacesConfig(s)}) {
      const Architecture a = Built(config, s);
      EXPECT_EQ(ToText(a.graph), ToText(MakeBlocks(s)));
      EXPECT_THAT(a.warnings, IsEmpty());
      EXPECT_EQ(a.model_type, "mamba2");
      EXPECT_EQ(a.graph.layers, 3);
      EXPECT_EQ(a.graph.vocab_rows, s.rows);
      const SsdAttributes ssd = SsdOf(a);
      EXPECT_EQ(ssd.heads, 8);
      EXPECT_EQ(ssd.head_dim, s.head_dim);
      EXPECT_EQ(ssd.state_size, s.state_size);
      EXPECT_EQ(ssd.groups, groups);
      EXPECT_EQ(ssd.chunk_size, s.chunk_size);
      EXPECT_EQ(a.graph.nodes[static_cast<size_t>(a.graph.FindSite("layers.0.y_norm"))].groups,
                groups);
    }
  }
}

TEST(Config, AbsentKeysHaveTheirDefaults) {
  const BlockSizes s;
  Json config = Json::MakeObject();
  config.Set("model_type", "mamba2");
  config.Set("state_size", s.state_size);
  const Architecture a = Built(config, s);
  EXPECT_EQ(SsdOf(a).chunk_size, 256);
  EXPECT_EQ(SsdOf(a).groups, s.groups);
  EXPECT_FLOAT_EQ(a.graph.nodes[1].eps, 1e-5f);

  Json ssm = Json::MakeObject();
  ssm.Set("layer", "Mamba2");
  Json spaces = Json::MakeObject();
  spaces.Set("d_model", s.d_model);
  spaces.Set("ssm_cfg", ssm);
  BlockSizes one = s;
  one.state_size = 128;  // state-spaces' defaults: d_state 128, ngroups 1
  one.groups = 1;
  const Architecture b = Built(spaces, one);
  EXPECT_EQ(SsdOf(b).state_size, 128);
  EXPECT_EQ(SsdOf(b).groups, 1);
  EXPECT_EQ(SsdOf(b).chunk_size, 256);
  EXPECT_THAT(b.warnings, IsEmpty());
  // The groups alone decide where the state size is another than the default.
  one.state_size = 5;
  EXPECT_EQ(SsdOf(Built(spaces, one)).state_size, 5);
}

Json Limit(Json lo, Json hi) {
  return Json(Json::Array{std::move(lo), std::move(hi)});
}

TEST(Config, TimeStepLimitInEverySpelling) {
  const float inf = std::numeric_limits<float>::infinity();
  Json tagged = Json::MakeObject();
  tagged.Set("__float__", "Infinity");
  struct Case {
    Json limit;
    float lo, hi;
  };
  for (const Case& c : {Case{Limit(0.0, "Infinity"), 0, inf},
                        {Limit(0.001, 0.1), 0.001f, 0.1f},
                        {Limit(0, 1), 0, 1},
                        {Limit(0.0, tagged), 0, inf},
                        {Limit(0.5, "inf"), 0.5f, inf},
                        {Json(), 0, inf}}) {
    const auto check = [&](const Json& config) {
      const Architecture a = Built(config);
      const Node& dt = a.graph.nodes[static_cast<size_t>(a.graph.FindSite("layers.1.dt"))];
      EXPECT_EQ(dt.lo, c.lo) << c.limit.Dump(-1);
      EXPECT_EQ(dt.hi, c.hi) << c.limit.Dump(-1);
    };
    check(With(HuggingFaceConfig({}), "time_step_limit", c.limit));
    Json spaces = StateSpacesConfig({});
    check(With(spaces, "ssm_cfg", With(*spaces.Find("ssm_cfg"), "dt_limit", c.limit)));
  }
  const Json parsed = *Json::Parse(R"({"time_step_limit": [0.0, Infinity]})");
  EXPECT_EQ(Built(With(HuggingFaceConfig({}), "time_step_limit", *parsed.Find("time_step_limit")))
                .graph.nodes[9]
                .hi,
            inf);
  for (const Json& bad :
       {Limit(0.1, 0.1), Limit(0.2, 0.1), Limit(-1, 1), Limit("NaN", 1), Limit(0, "many"),
        Limit(0, Json()), Limit("inf", "inf"), Limit(1e300, 1e308), Limit(0, 1e-60), Json(0.1),
        Json("Infinity"), Json(Json::Array{Json(0.0)}),
        Json(Json::Array{Json(0), Json(1), Json(2)}), Json::MakeObject()}) {
    ExpectRefused(With(HuggingFaceConfig({}), "time_step_limit", bad), Code::kInvalidArgument,
                  "time_step_limit");
    Json spaces = StateSpacesConfig({});
    ExpectRefused(With(spaces, "ssm_cfg", With(*spaces.Find("ssm_cfg"), "dt_limit", bad)),
                  Code::kInvalidArgument, "dt_limit");
  }
}

TEST(Config, WrongSizesAreCorrectedWithAWarning) {
  const BlockSizes s;
  const std::string want = ToText(MakeBlocks(s));
  struct Wrong {
    const char* key;
    int64_t declared, actual;
  };
  for (const Wrong& w :
       {Wrong{"hidden_size", 4096, 8}, Wrong{"num_heads", 128, 4}, Wrong{"head_dim", 64, 3},
        Wrong{"num_hidden_layers", 64, 2}, Wrong{"vocab_size", 32768, 11},
        Wrong{"conv_kernel", 3, 4}, Wrong{"n_groups", 8, 2}, Wrong{"state_size", 128, 5}}) {
    const Architecture a = Built(With(HuggingFaceConfig(s), w.key, w.declared));
    EXPECT_EQ(ToText(a.graph), want) << w.key;
    EXPECT_THAT(a.warnings, Contains(AllOf(HasSubstr(std::to_string(w.declared)),
                                           HasSubstr(std::to_string(w.actual)))))
        << w.key;
    EXPECT_EQ(a.warnings.size(), 1u) << w.key;
  }
  // transformers' default of 8 groups, in a config that leaves them out.
  const Architecture a = Built(Without(HuggingFaceConfig(s), "n_groups"));
  EXPECT_EQ(SsdOf(a).groups, 2);
  EXPECT_THAT(a.warnings, testing::ElementsAre(AllOf(HasSubstr("groups 8"), HasSubstr("have 2"))));
  Json spaces = StateSpacesConfig(s);
  const Architecture b = Built(With(With(spaces, "d_model", 4096), "n_layer", 1));
  EXPECT_EQ(ToText(b.graph), want);
  EXPECT_EQ(b.warnings.size(), 2u);
}

// 2 x 6 channels for B: also 4 x 3, 12 x 1, 1 x 12.
TEST(Config, GroupsAndStateSizeThatTheTensorsCannotDecideAreRefused) {
  BlockSizes s;
  s.heads = 12;
  s.groups = 2;
  s.state_size = 6;
  const auto refused = [&](const Json& config, const std::string& part) {
    const Result<Architecture> a = Build(config, s);
    EXPECT_EQ(a.status().code(), Code::kCorrupt) << config.Dump(-1);
    EXPECT_THAT(a.status().message(), AllOf(HasSubstr("config.json"), HasSubstr(part)));
  };
  const Json config = HuggingFaceConfig(s);
  refused(With(config, "state_size", 3), "state size 3 and 2 groups");
  refused(With(config, "n_groups", 4), "state size 6 and 4 groups");
  refused(With(With(config, "n_groups", 1), "state_size", 6), "12 channels");
  const Json spaces = StateSpacesConfig(s);
  refused(With(spaces, "ssm_cfg", With(*spaces.Find("ssm_cfg"), "ngroups", 1)), "12 channels");
  // One of them alone decides, also against the other's default.
  const auto groups = [&](const Json& c) { return SsdOf(Built(c, s)).groups; };
  EXPECT_EQ(groups(Without(config, "n_groups")), 2);
  EXPECT_EQ(groups(Without(config, "state_size")), 2);
  EXPECT_EQ(groups(With(config, "n_groups", 5)), 2) << "5 does not divide 12";
  EXPECT_EQ(groups(With(config, "state_size", 5)), 2) << "5 does not divide 12";
  // Public checkpoints: transformers' 8 groups where the tensors have one.
  s.groups = 1;
  s.state_size = 128;
  s.heads = 8;
  EXPECT_EQ(groups(With(HuggingFaceConfig(s), "n_groups", 8)), 1);
  EXPECT_EQ(groups(Without(Without(HuggingFaceConfig(s), "n_groups"), "state_size")), 1);
}

TEST(Config, NonsenseIsRefusedNamingTheKey) {
  const Json list(Json::Array{Json(8)});
  const char* sizes[] = {"hidden_size", "num_hidden_layers", "vocab_size",  "num_heads", "head_dim",
                         "state_size",  "n_groups",          "conv_kernel", "chunk_size"};
  const Json not_sizes[] = {Json(-1),
                            Json(0),
                            Json(2.5),
                            Json("8"),
                            Json(true),
                            list,
                            Json::MakeObject(),
                            Json(int64_t{1} << 31),
                            Json(1e30),
                            Json(std::numeric_limits<int64_t>::max()),
                            Json(std::numeric_limits<int64_t>::min())};
  for (const char* key : sizes) {
    for (const Json& value : not_sizes) {
      ExpectRefused(With(HuggingFaceConfig({}), key, value), Code::kInvalidArgument, key);
    }
    EXPECT_TRUE(Build(With(HuggingFaceConfig({}), key, Json())).ok()) << key;
  }
  for (const char* key : {"use_bias", "use_conv_bias", "tie_word_embeddings"}) {
    for (const Json& value : {Json(0), Json("true"), list, Json(1.0)}) {
      ExpectRefused(With(HuggingFaceConfig({}), key, value), Code::kInvalidArgument, key);
    }
  }
  for (const Json& value : {Json(0), Json(-1e-5), Json(1), Json(1e-60), Json("small"), Json(false),
                            Json("Infinity"), list}) {
    ExpectRefused(With(HuggingFaceConfig({}), "layer_norm_epsilon", value), Code::kInvalidArgument,
                  "layer_norm_epsilon");
  }
  ExpectRefused(With(HuggingFaceConfig({}), "chunk_size", kMaxChunkSize + 1),
                Code::kInvalidArgument, "chunk_size");
  EXPECT_TRUE(Build(With(HuggingFaceConfig({}), "chunk_size", kMaxChunkSize)).ok());
  for (const char* key : {"d_state", "ngroups", "headdim", "d_conv", "chunk_size"}) {
    Json spaces = StateSpacesConfig({});
    ExpectRefused(With(spaces, "ssm_cfg", With(*spaces.Find("ssm_cfg"), key, "many")),
                  Code::kInvalidArgument, std::string("ssm_cfg.") + key);
  }
  ExpectRefused(With(StateSpacesConfig({}), "d_model", -8), Code::kInvalidArgument, "d_model");
  ExpectRefused(With(StateSpacesConfig({}), "n_layer", 1.5), Code::kInvalidArgument, "n_layer");
}

TEST(Config, UnsupportedVariants) {
  const auto ssm = [](const char* key, Json value) {
    Json spaces = StateSpacesConfig({});
    return With(spaces, "ssm_cfg", With(*spaces.Find("ssm_cfg"), key, std::move(value)));
  };
  const Code no = Code::kUnsupported;
  ExpectRefused(With(StateSpacesConfig({}), "d_intermediate", 64), no, "MLP");
  ExpectRefused(With(StateSpacesConfig({}), "attn_layer_idx", Json(Json::Array{Json(3)})), no,
                "attention");
  ExpectRefused(ssm("norm_before_gate", true), no, "norm_before_gate");
  ExpectRefused(ssm("rmsnorm", false), no, "rmsnorm");
  ExpectRefused(ssm("layer", "Mamba3"), no, "model_type");
  ExpectRefused(With(StateSpacesConfig({}), "ssm_cfg", Json("Mamba2")), Code::kInvalidArgument,
                "ssm_cfg");
  ExpectRefused(With(HuggingFaceConfig({}), "hidden_act", "gelu"), no, "hidden_act");
  EXPECT_TRUE(Build(With(HuggingFaceConfig({}), "hidden_act", "swish")).ok());
  for (const Json& type : {Json("mamba3"), Json("llama"), Json(2), Json()}) {
    ExpectRefused(With(HuggingFaceConfig({}), "model_type", type), no, "model_type");
  }
  ExpectRefused(Without(HuggingFaceConfig({}), "model_type"), no, "model_type");
  ExpectRefused(Json::MakeObject(), no, "mamba2");
  for (const Json& config : {Json(), Json(5), Json("mamba2"), Json::MakeArray()}) {
    ExpectRefused(config, Code::kInvalidArgument, "object");
  }
}

// A value that has no business in a config.
rc::Gen<Json> AnyJson() {
  return rc::gen::map(rc::gen::pair(rc::gen::inRange(0, 9), rc::gen::arbitrary<int64_t>()),
                      [](const std::pair<int, int64_t>& p) -> Json {
                        const int64_t v = p.second;
                        switch (p.first) {
                          case 0:
                            return {};
                          case 1:
                            return Json(v % 2 == 0);
                          case 2:
                            return Json(v);
                          case 3:
                            return Json(v % 20);
                          case 4:
                            return Json(static_cast<double>(v) * 1e-3);
                          case 5:
                            return Json(v % 2 == 0 ? "Infinity" : "Mamba2");
                          case 6:
                            return Json(Json::Array{Json(v), Json("inf")});
                          case 7:
                            return With(Json::MakeObject(), "layer", "Mamba2");
                          default:
                            return With(Json::MakeObject(), "__float__", Json(v));
                        }
                      });
}

RC_GTEST_PROP(Config, MutationsNeverCrash, ()) {
  const bool spaces = *rc::gen::arbitrary<bool>();
  Json config = spaces ? StateSpacesConfig({}) : HuggingFaceConfig({});
  if (!spaces) config.Set("time_step_limit", Limit(0.0, "Infinity"));
  const int changes = *rc::gen::inRange(1, 5);
  for (int i = 0; i < changes; ++i) {
    Json* object = &config;
    for (auto& [key, value] : config.AsObject()) {
      if (key == "ssm_cfg" && value.is_object() && *rc::gen::arbitrary<bool>()) object = &value;
    }
    auto& members = object->AsObject();
    if (members.empty()) continue;
    const std::string key = members[*rc::gen::inRange<size_t>(0, members.size())].first;
    if (*rc::gen::inRange(0, 4) == 0) {
      object->Erase(key);
    } else {
      object->Set(key, *AnyJson());
    }
  }
  const Result<Architecture> a = Build(config);
  RC_TAG(std::string(a.ok() ? "built" : "refused"));
  if (a.ok()) {
    RC_ASSERT(Verify(a->graph).ok());
    RC_ASSERT(a->graph.nodes[0].width == 8);
  } else {
    RC_ASSERT(!a.status().message().empty());
    RC_ASSERT(a.status().message().find('\n') == std::string::npos);
  }
}

}  // namespace
}  // namespace octet
