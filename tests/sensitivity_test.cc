// Contracts of quant/sensitivity.h and quant/auto_recipe.h, on small random models of both
// families: what the measurement reuses of the float run changes no bit (each KL equals that of a
// plain run of the whole model with the part quantized); results do not depend on the number of
// threads; every matrix, vector and site of the base recipe is there, with the bytes that are
// stored. Recipe auto keeps a budget and a largest KL, says when it cannot, and its plan, saved and
// loaded, gives the same model.
#include "quant/sensitivity.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "base/logits.h"
#include "exec/quantized_format.h"
#include "exec/simulate.h"
#include "kernels/isa.h"
#include "quant/auto_recipe.h"
#include "quant/passes/passes.h"
#include "tests/models.h"

namespace octet {
namespace {

constexpr int64_t kTokens = 40;

struct Case {
  const char* recipe;
  bool mamba2;
};

class SensitivityTest : public testing::TestWithParam<Case> {
 protected:
  SensitivityTest()
      : model_(GetParam().mamba2 ? MakeRandomModel(SmallConfig(2), 1)
                                 : MakeRandomModel(SmallMamba1(), 1)) {
    for (uint64_t d = 0; d < 3; ++d) {
      data_.documents.push_back(RandomTokens(kTokens, 61, 10 + d));
    }
  }

  RecipeRun Base() const {
    return *PlanRecipeNamed(GetParam().recipe, Json(), FamilyOf(model_.graph));
  }

  Result<Sensitivity> Measure(int threads, const SensitivityOptions& options = {}) const {
    ThreadPool pool(threads);
    return MeasureSensitivity(Base().plan, model_.graph, model_.weights, data_, data_, options,
                              &pool, Progress());
  }

  Result<AutoResult> Auto(const AutoLimit& limit, int threads = 1) const {
    ThreadPool pool(threads);
    const Json record = Json::MakeObject();
    const std::vector<TokenId> check = RandomTokens(kTokens, 61, 99);
    return FindAutoRecipe(Base(), limit, model_.graph, model_.weights, {data_, record, check},
                          &pool, Progress());
  }

  // By which the base recipe stores a tensor that is no matrix.
  WeightRule BaseRule(const std::string& name) const {
    WeightRule last;
    for (const WeightRule& rule : Base().plan.weights) {
      if (MatchesName(rule.tensors, name)) last = rule;
    }
    EXPECT_EQ(last.bits, 8) << name;
    return last;
  }

  RandomModel model_;
  TokenDataset data_;
};

// The base recipe's float model and its encodings, made here without MeasureSensitivity.
RandomModel Prepare(QuantPlan plan, const RandomModel& model, const TokenDataset& data,
                    const std::vector<WeightRule>& weights) {
  plan.weights = weights;
  plan.mean_correction = "none";
  plan.ssd = SsdMode::kFloat;
  plan.state = "f32";
  RandomModel m = model;
  ThreadPool pool(1);
  const Progress silent;
  QuantContext context{m.graph, m.weights, data, pool, silent};
  EXPECT_TRUE(RunPasses(PassesOf(plan), context).ok());
  return m;
}

double PlainKl(const RandomModel& reference, const RandomModel& candidate, bool simulate,
               const TokenDataset& data) {
  const Interpreter want(reference.graph, reference.weights, AllowedIsas());
  const Interpreter got(candidate.graph, candidate.weights, AllowedIsas());
  double sum = 0;
  for (const auto& document : data.documents) {
    State a(reference.graph), b(candidate.graph);
    SimulationTap tap(candidate.graph);
    std::vector<float> x, y;
    EXPECT_TRUE(want.Run(document, &a, nullptr, &x).ok());
    EXPECT_TRUE(got.Run(document, &b, simulate ? &tap : nullptr, &y).ok());
    double kl = 0;
    for (int64_t t = 0; t < kTokens; ++t) {
      const auto row = static_cast<size_t>(t * 61);
      kl += KlDivergence(std::span(x).subspan(row, 61), std::span(y).subspan(row, 61));
    }
    sum += kl / kTokens;
  }
  return sum / static_cast<double>(data.documents.size());
}

TEST_P(SensitivityTest, EqualsPlainRunsBitForBit) {
  const Result<Sensitivity> s = Measure(1);
  ASSERT_TRUE(s.ok()) << s.status().message();
  const RandomModel reference = Prepare(Base().plan, model_, data_, {});
  std::set<std::string> seen;
  for (const SensitivityItem& i : s->items) {
    const std::string layers = i.layer < 0 ? "" : std::to_string(i.layer);
    const bool site = i.kind == SensitivityItem::Kind::kSite;
    RandomModel candidate = reference;
    if (site) {
      const std::string full = i.layer < 0 ? i.name : fmt::format("layers.{}.{}", i.layer, i.name);
      std::erase_if(candidate.graph.encodings, [&](const auto& e) { return e.first != full; });
      ASSERT_EQ(candidate.graph.encodings.size(), 1u) << full;
    } else {
      const bool vector = i.kind == SensitivityItem::Kind::kVector;
      WeightRule rule = vector ? BaseRule(i.name) : MatrixRule(i.name, layers, i.bits);
      rule.layers = layers;
      rule.method = WeightMethod::kRtn;
      candidate = Prepare(Base().plan, model_, data_, {rule});
      candidate.graph.encodings.clear();
    }
    EXPECT_EQ(i.kl, PlainKl(reference, candidate, site, data_))
        << i.layer << " " << i.name << " " << i.bits;
    seen.insert(i.name);
  }
  EXPECT_TRUE(seen.contains("in_proj") && seen.contains("out_proj") && seen.contains("embedding"));
  EXPECT_TRUE(seen.contains("u_norm"));
  EXPECT_EQ(seen.contains("ssd.state"), GetParam().mamba2);
  EXPECT_EQ(seen.contains("A_log"), !GetParam().mamba2);
}

TEST_P(SensitivityTest, DoesNotDependOnThreads) {
  const Result<Sensitivity> one = Measure(1), three = Measure(3);
  ASSERT_TRUE(one.ok() && three.ok());
  EXPECT_EQ(one->ToJson().Dump(), three->ToJson().Dump());
  const Result<AutoResult> a = Auto({{}, 0.05}, 1), b = Auto({{}, 0.05}, 3);
  ASSERT_TRUE(a.ok() && b.ok()) << a.status().message();
  EXPECT_EQ(a->run.plan, b->run.plan);
  EXPECT_EQ(a->winner.kl, b->winner.kl);
}

TEST_P(SensitivityTest, FourBitsCostMoreAndTakeLess) {
  const Result<Sensitivity> s = Measure(1, {{8, 4}, true});
  ASSERT_TRUE(s.ok()) << s.status().message();
  ASSERT_EQ(s->items.size() % 2, 0u);
  for (size_t i = 0; i < s->items.size(); i += 2) {
    const SensitivityItem &eight = s->items[i], &four = s->items[i + 1];
    EXPECT_EQ(eight.name, four.name);
    EXPECT_EQ(eight.bits, 8);
    EXPECT_EQ(four.bits, 4);
    EXPECT_LT(four.bytes, eight.bytes) << four.name;
    // Rows of 5 columns have more bytes of scales than they save.
    if (eight.name != "dt_proj") {
      EXPECT_LT(eight.bytes, eight.f16_bytes * 3 / 4) << four.name;
    }
    EXPECT_GT(four.kl, 4 * eight.kl) << four.name;
    EXPECT_GE(eight.kl_error, 0);
  }
}

TEST_P(SensitivityTest, BadInputIsRefused) {
  data_.documents.resize(1);
  EXPECT_EQ(Measure(1).status().message(),
            "sensitivity is measured on at least two pieces of text");
  data_.documents.push_back(data_.documents[0]);
  EXPECT_EQ(Measure(1, {{5}, true}).status().message(), "a matrix cannot be tried at 5 bits");
}

TEST_P(SensitivityTest, AutoKeepsTheBudget) {
  ThreadPool pool(1);
  const Result<AutoResult> wide = Auto({int64_t{1} << 30, {}});
  ASSERT_TRUE(wide.ok()) << wide.status().message();
  int64_t last = 0;
  for (const double share : {0.45, 0.6, 0.8}) {
    const auto budget = static_cast<int64_t>(share * static_cast<double>(wide->winner.bytes));
    const Result<AutoResult> r = Auto({budget, {}});
    ASSERT_TRUE(r.ok()) << r.status().message();
    EXPECT_LE(r->winner.bytes, budget);
    EXPECT_GT(r->winner.bytes, last);
    int64_t stored = 0;
    for (const auto& [name, w] : StoredTensors(r->model.graph, r->model.weights)) {
      stored += w.data_bytes();
    }
    EXPECT_EQ(stored, r->winner.bytes);
    for (const AutoAttempt& a : r->attempts) {
      EXPECT_TRUE(a.bytes > budget || a.kl >= r->winner.kl);
    }
    last = stored;
  }
  const Result<AutoResult> none = Auto({1000, {}});
  EXPECT_NE(none.status().message().find("a budget of 1000 bytes cannot be kept"),
            std::string::npos);
}

TEST_P(SensitivityTest, AutoKeepsTheLargestKl) {
  const Result<AutoResult> least = Auto({int64_t{1} << 30, {}});
  ASSERT_TRUE(least.ok()) << least.status().message();
  const double max_kl = least->winner.kl + 0.01;
  const Result<AutoResult> r = Auto({{}, max_kl});
  ASSERT_TRUE(r.ok()) << r.status().message();
  EXPECT_LE(r->winner.kl, max_kl);
  EXPECT_LT(r->winner.bytes, least->winner.bytes);
  for (const AutoAttempt& a : r->attempts) {
    EXPECT_TRUE(a.kl > max_kl || a.bytes >= r->winner.bytes);
  }
  const Result<AutoResult> none = Auto({{}, 1e-9});
  EXPECT_NE(none.status().message().find("a KL of 1e-09 cannot be kept"), std::string::npos);
  EXPECT_FALSE(Auto({{}, {}}).ok());
  EXPECT_FALSE(Auto({1000000, 0.1}).ok());
}

TEST_P(SensitivityTest, ThePlanGivesTheSameModelAgain) {
  const Result<AutoResult> r = Auto({{}, 0.05});
  ASSERT_TRUE(r.ok()) << r.status().message();
  QuantPlan plan;
  ASSERT_TRUE(ApplyJson(*Json::Parse(ToJson(r->run.plan).Dump()), &plan).ok());
  EXPECT_EQ(plan, r->run.plan);
  ThreadPool pool(2);
  const Result<QuantizedModel> again = Quantize({"again", Json::MakeObject(), plan}, model_.graph,
                                                model_.weights, data_, Json(), &pool, Progress());
  ASSERT_TRUE(again.ok()) << again.status().message();
  const auto a = StoredTensors(r->model.graph, r->model.weights);
  const auto b = StoredTensors(again->graph, again->weights);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].first, b[i].first);
    ASSERT_EQ(a[i].second.data_bytes(), b[i].second.data_bytes());
    EXPECT_EQ(std::memcmp(a[i].second.data, b[i].second.data,
                          static_cast<size_t>(a[i].second.data_bytes())),
              0)
        << a[i].first;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, SensitivityTest,
                         testing::Values(Case{"ssdi8-plus-w8a8", true}, Case{"quamba", false}),
                         [](const auto& tested) {
                           return tested.param.mamba2 ? "Mamba2" : "Mamba1";
                         });

}  // namespace
}  // namespace octet
