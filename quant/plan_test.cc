// Contracts of plans:
//  1. ToJson and ApplyJson are inverses for the plan of every recipe, and for a plan in which every
//     member differs from its default; the schema lists exactly the members that are written.
//  2. ApplyJson sets what it is given, appends rules, and refuses unknown members, wrong types and
//     values out of range, naming the member and the rule.
//  3. CheckPlan refuses combinations that mean nothing.
//  4. Lists of layers and patterns of names.
//  5. Which plans need calibration text.
#include "quant/plan.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quant/recipe.h"

namespace octet {
namespace {

using testing::HasSubstr;

Json Parsed(const std::string& text) {
  Result<Json> j = Json::Parse(text);
  EXPECT_TRUE(j.ok()) << text;
  return j.ok() ? *std::move(j) : Json();
}

QuantPlan Unusual() {
  QuantPlan p;
  p.rotation = Rotation::kOutput;
  p.hadamard = "block";
  p.migrate_gamma = false;
  p.smooth = 0.25;
  p.reorder_heads = true;
  p.chunk_size = 96;
  p.ssd = SsdMode::kInt8GateQ7;
  p.full_score = p.running_state = p.sweep_alpha = true;
  p.forks = {{"x_scan", "y", 1}};
  p.sites = {
      {"x*", "0-3,7", "se9", Granularity::kCluster, ObserverKind::kPercentile, 0.75, "xz", true}};
  p.weights = {{"out_*", "2", 4, WeightScale::kSegment, 64, Int4Step::kLeastSquares,
                WeightMethod::kGptq, true}};
  p.damping = 0.5;
  p.state = "i8s+ef";
  p.state_scales = StateLayout::kTensor;
  p.state_observer = ObserverKind::kPercentile;
  p.state_alpha = 0.75;
  p.mean_correction = "0.5";
  return p;
}

TEST(PlanJson, IsTheInverse) {
  std::vector<QuantPlan> plans = {QuantPlan(), Unusual()};
  for (const Recipe& r : Recipes()) {
    const Result<RecipeRun> run = PlanRecipe(r, Json(), r.only.value_or(Family::kMamba2));
    ASSERT_TRUE(run.ok()) << run.status().message();
    plans.push_back(run->plan);
  }
  for (const QuantPlan& p : plans) {
    QuantPlan back;
    const Status s = ApplyJson(Parsed(ToJson(p).Dump(2)), &back);
    ASSERT_TRUE(s.ok()) << s.message();
    EXPECT_EQ(back, p) << ToJson(p).Dump(2);
  }
}

TEST(PlanJson, EveryMemberIsWrittenReadAndDescribed) {
  const Json plain = ToJson(QuantPlan()), unusual = ToJson(Unusual());
  const Json schema = PlanSchema();
  EXPECT_EQ(schema.Find("properties")->AsObject().size(), plain.AsObject().size());
  for (const auto& [name, value] : unusual.AsObject()) {
    EXPECT_NE(value, *plain.Find(name)) << name << " does not differ: the test sees nothing";
    const Json* described = schema.Find("properties")->Find(name);
    ASSERT_NE(described, nullptr) << name;
    EXPECT_EQ(*described->Find("default"), *plain.Find(name)) << name;
  }
  for (const char* rules : {"forks", "sites", "weights"}) {
    const Json& rule = unusual.Find(rules)->AsArray()[0];
    const Json* items = schema.Find("properties")->Find(rules)->Find("items")->Find("properties");
    EXPECT_EQ(items->AsObject().size(), rule.AsObject().size()) << rules;
    for (const auto& [name, value] : rule.AsObject()) {
      ASSERT_NE(items->Find(name), nullptr) << name;
      EXPECT_NE(value, *items->Find(name)->Find("default")) << name;
    }
  }
}

TEST(PlanJson, SetsWhatItIsGivenAndAppendsRules) {
  QuantPlan p = Unusual();
  ASSERT_TRUE(
      ApplyJson(Parsed(R"({"state": "i16", "state_scales": "row", "state_observer": "absmax",
                                   "sites": [{"sites": "z"}]})"),
                &p)
          .ok());
  EXPECT_EQ(p.state, "i16");
  ASSERT_EQ(p.sites.size(), 2u);
  EXPECT_EQ(p.sites[0], Unusual().sites[0]);
  EXPECT_EQ(p.sites[1], SiteRule{.sites = "z"});
  EXPECT_EQ(p.weights, Unusual().weights);
}

TEST(PlanJson, RefusesWhatItDoesNotKnow) {
  const auto error = [](const std::string& text) {
    QuantPlan p;
    const Status s = ApplyJson(Parsed(text), &p);
    EXPECT_EQ(s.code(), Code::kInvalidArgument) << text;
    return s.message();
  };
  EXPECT_THAT(error(R"({"rotations": "full"})"), HasSubstr("unknown member rotations (known: rot"));
  EXPECT_THAT(error(R"({"sites": [{"sites": "x"}, {"sites": "x", "bits": 8}]})"),
              testing::AllOf(HasSubstr("sites[1]"), HasSubstr("unknown member bits")));
  EXPECT_THAT(error("[]"), HasSubstr("JSON object"));
  EXPECT_THAT(error(R"({"sites": [3]})"), HasSubstr("sites[0]"));
  // Every member with a value of another type, and of the right type where that can be wrong.
  const Json plain = ToJson(QuantPlan());
  for (const auto& [name, value] : plain.AsObject()) {
    for (const char* wrong : {"null", "[[]]", "{}", value.is_string() ? "4" : "\"four\""}) {
      EXPECT_THAT(error("{\"" + name + "\": " + wrong + "}"), HasSubstr(name)) << wrong;
    }
  }
  for (const char* wrong :
       {R"({"smooth": 1.5})", R"({"smooth": -0.1})", R"({"chunk_size": -1})",
        R"({"chunk_size": 5000})", R"({"damping": 0})", R"({"rotation": "half"})",
        R"({"weights": [{"tensors": "D", "bits": 5}]})",
        R"({"weights": [{"tensors": "D", "group": 16}]})",
        R"({"sites": [{"sites": "x", "alpha": 1.5}]})",
        R"({"sites": [{"sites": "x", "granularity": "row"}]})"}) {
    EXPECT_THAT(error(wrong), HasSubstr("must be")) << wrong;
  }
}

TEST(CheckPlanTest, RefusesWhatMeansNothing) {
  const auto error = [](const std::string& text) {
    QuantPlan p;
    const Status s = ApplyJson(Parsed(text), &p);
    EXPECT_EQ(s.code(), Code::kInvalidArgument) << text;
    return s.message();
  };
  EXPECT_THAT(error(R"({"sites": [{}]})"), HasSubstr("no member sites"));
  EXPECT_THAT(error(R"({"weights": [{}]})"), HasSubstr("no member tensors"));
  EXPECT_THAT(error(R"({"sites": [{"sites": "x", "layers": "3-1"}]})"), HasSubstr("0-3,7"));
  EXPECT_THAT(error(R"({"weights": [{"tensors": "D", "layers": "a"}]})"), HasSubstr("0-3,7"));
  EXPECT_THAT(error(R"({"weights": [{"tensors": "D", "bits": 4, "group": 48}]})"),
              HasSubstr("multiple of 32"));
  EXPECT_THAT(error(R"({"weights": [{"tensors": "D", "method": "gptq"}]})"), HasSubstr("4 bits"));
  EXPECT_THAT(error(R"({"sites": [{"sites": "x", "codec": "int7"}]})"), HasSubstr("int7"));
  EXPECT_THAT(error(R"({"sites": [{"sites": "x", "granularity": "cluster"}]})"),
              HasSubstr("reorder_heads"));
  EXPECT_THAT(error(R"({"state": "i8s", "state_scales": "cluster"})"), HasSubstr("reorder_heads"));
  EXPECT_THAT(error(R"({"state": "i4"})"), HasSubstr("i4"));
  EXPECT_THAT(error(R"({"state_observer": "octav"})"), HasSubstr("state_observer"));
  EXPECT_THAT(error(R"({"state_observer": "percentile"})"), HasSubstr("state_observer"));
  EXPECT_THAT(error(R"({"hadamard": "dct"})"), HasSubstr("dct"));
  EXPECT_THAT(error(R"({"forks": [{"site": "a.b", "reader": "y"}]})"), HasSubstr("one word"));
  EXPECT_THAT(error(R"({"forks": [{"reader": "y"}]})"), HasSubstr("one word"));
  EXPECT_THAT(error(R"({"forks": [{"site": "a", "reader": "y"}, {"site": "b", "reader": "y"}]})"),
              HasSubstr("forked twice"));
  for (const char* bad : {"1.5", "-0.1", "nan", "half", "", "0.5x"}) {
    EXPECT_THAT(error(std::string(R"({"mean_correction": ")") + bad + "\"}"),
                HasSubstr("between 0 and 1"))
        << bad;
  }
}

TEST(Names, Layers) {
  EXPECT_TRUE(ContainsLayer("", 0));
  EXPECT_TRUE(ContainsLayer("", 4000));
  for (int layer = 0; layer < 12; ++layer) {
    const bool in = layer <= 3 || layer == 7 || (layer >= 9 && layer <= 10);
    EXPECT_EQ(ContainsLayer("0-3,7,9-10", layer), in) << layer;
    EXPECT_EQ(ContainsLayer("5", layer), layer == 5);
  }
  EXPECT_TRUE(CheckLayers("", 1).ok());
  EXPECT_TRUE(CheckLayers("0-3,7", 8).ok());
  EXPECT_EQ(CheckLayers("0-3,7", 7).message(), "layers 0-3,7: the model has blocks 0 to 6");
  for (const char* bad :
       {"-", "1-", "-1", "1,", ",1", "1,,2", "2-1", "x", "1-2-3", " 1", "99999999999"}) {
    QuantPlan p;
    p.sites = {{.sites = "x", .layers = bad}};
    EXPECT_FALSE(CheckPlan(p).ok()) << bad;
  }
}

TEST(Names, Patterns) {
  struct Case {
    const char *pattern, *name;
    bool matches;
  };
  for (const Case& c : {Case{"x", "x", true},
                        {"x", "xz", false},
                        {"x", "", false},
                        {"*", "", true},
                        {"*", "dt_in", true},
                        {"ssd.*", "ssd.state", true},
                        {"ssd.*", "ssd", false},
                        {"*_in", "dt_in", true},
                        {"*_in", "x_inner", false},
                        {"d*_*n", "dt_in", true},
                        {"d*_*n", "dt_i", false},
                        {"a*a", "a", false},
                        {"a*a", "aa", true},
                        {"a**b", "ab", true},
                        {"", "", true}}) {
    EXPECT_EQ(MatchesName(c.pattern, c.name), c.matches) << c.pattern << " " << c.name;
  }
}

TEST(Names, ManyStarsEndSoon) {
  std::string pattern, name;
  for (int i = 0; i < 100000; ++i) {
    pattern += "*a";
    name += "a";
  }
  EXPECT_TRUE(MatchesName(pattern, name));
  EXPECT_FALSE(MatchesName(std::string(300, '*') + "a*a*a*z", std::string(300, 'a')));
}

TEST(Calibration, IsNeededByWhatObservesText) {
  EXPECT_FALSE(NeedsCalibration({}));
  const auto needs = [](const char* text) {
    QuantPlan p;
    EXPECT_TRUE(ApplyJson(Parsed(text), &p).ok()) << text;
    return NeedsCalibration(p);
  };
  for (const char* text :
       {R"({"sites": [{"sites": "x"}]})",
        R"({"weights": [{"tensors": "D", "bits": 4, "method": "gptq"}]})", R"({"smooth": 0.5})",
        R"({"reorder_heads": true})", R"({"mean_correction": "auto"})", R"({"state": "i8s"})"}) {
    EXPECT_TRUE(needs(text)) << text;
  }
  for (const char* text :
       {R"({"sites": [{"sites": "x", "granularity": "token"}]})",
        R"({"sites": [{"sites": "x", "codec": "float"}]})", R"({"weights": [{"tensors": "D"}]})",
        R"({"rotation": "full"})", R"({"state": "i8"})"}) {
    EXPECT_FALSE(needs(text)) << text;
  }
}

}  // namespace
}  // namespace octet
