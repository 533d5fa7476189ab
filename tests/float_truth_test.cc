// Contracts: the float model is the model that transformers runs.
//  1. fp32 logits equal those of transformers' MambaForCausalLM, FalconMambaForCausalLM and
//     Mamba2ForCausalLM (G in {1, 2, 4}) within 1e-4 of the largest logit, for T in {1, 37, 255,
//     256, 257}, bf16, fp16 and fp32 files, sharded and state-spaces folders, and the shipped
//     models; in prefill and in cached decode.
//  2. Splitting a text between calls, anywhere, does not change the numbers; nor does the chunk
//  size.
//  3. A copy of the state continues with the bits of never having stopped.
//  4. Results do not depend on the number of threads.
//  5. Interpreter and Program agree.
#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "exec/interpreter.h"
#include "io/safetensors.h"
#include "kernels/isa.h"
#include "runtime/session.h"
#include "tests/models.h"

namespace octet {
namespace {

using Logits = std::vector<float>;

std::shared_ptr<const Model> LoadModel(const std::string& folder, ModelOptions options = {}) {
  Result<std::shared_ptr<const Model>> model = Model::Load(folder, options);
  EXPECT_TRUE(model.ok()) << model.status().message();
  return model.ok() ? *model : nullptr;
}

struct Golden {
  std::string folder;
  Json meta;
  WeightMap tensors;
  std::vector<TokenId> ids() const {
    std::vector<TokenId> ids;
    for (const Json& id : meta.Find("ids")->AsArray()) {
      ids.push_back(static_cast<TokenId>(id.AsInt()));
    }
    return ids;
  }
};

Golden ReadGolden(const std::string& name) {
  Golden g;
  g.folder = "tests/golden/" + name;
  g.meta = *Json::ParseFile(g.folder + "/expected.json", 1 << 20);
  g.tensors = *ReadSafetensors(g.folder + "/expected.safetensors");
  return g;
}

Logits FeedAll(Session* session, std::span<const TokenId> ids) {
  Logits all;
  const Status s = session->FeedAll(ids, [&](int64_t, int64_t rows, const float* logits) {
    all.insert(all.end(), logits, logits + rows * session->model().vocab_rows());
  });
  EXPECT_TRUE(s.ok()) << s.message();
  return all;
}

Session MakeSession(const std::shared_ptr<const Model>& model, int threads = 1) {
  return Session(model, std::make_shared<ThreadPool>(threads));
}

// Largest difference relative to the largest wanted logit.
double RelativeError(std::span<const float> got, std::span<const float> want) {
  EXPECT_EQ(got.size(), want.size());
  double worst = 0, scale = 0;
  for (size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(got[i]) - static_cast<double>(want[i])));
    scale = std::max(scale, std::abs(static_cast<double>(want[i])));
  }
  return worst / scale;
}

class GoldenTest : public testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  void SetUp() override {
    if (!ForceIsa(std::get<1>(GetParam())).ok()) GTEST_SKIP() << "this machine lacks the ISA";
  }
  void TearDown() override { EXPECT_TRUE(ForceIsa("native").ok()); }
};

TEST_P(GoldenTest, LogitsEqualTransformers) {
  const Golden g = ReadGolden(std::get<0>(GetParam()));
  const auto model = LoadModel(g.folder);
  ASSERT_NE(model, nullptr);
  const std::vector<TokenId> ids = g.ids();
  Session session = MakeSession(model);
  EXPECT_LT(RelativeError(FeedAll(&session, ids), ToF32(*g.tensors.Find("logits_257"))), 1e-4);
  Logits last(static_cast<size_t>(model->vocab_rows()));
  for (const size_t T : {1, 37, 255, 256}) {
    session.Reset();
    ASSERT_TRUE(session.Feed(std::span(ids).first(T), last).ok());
    EXPECT_LT(RelativeError(last, ToF32(*g.tensors.Find(fmt::format("last_{}", T)))), 1e-4) << T;
  }
}

TEST_P(GoldenTest, CachedDecodeEqualsTransformers) {
  const Golden g = ReadGolden(std::get<0>(GetParam()));
  const Weight* steps = g.tensors.Find("steps");
  if (steps == nullptr) GTEST_SKIP() << "transformers does not clamp dt in decode; no golden";
  const auto model = LoadModel(g.folder);
  ASSERT_NE(model, nullptr);
  const std::vector<TokenId> ids = g.ids();
  Session session = MakeSession(model);
  FeedAll(&session, std::span(ids).first(37));
  Logits got;
  for (size_t t = 37; t < 42; ++t) {
    const Logits one = FeedAll(&session, std::span(ids).subspan(t, 1));
    got.insert(got.end(), one.begin(), one.end());
  }
  EXPECT_LT(RelativeError(got, ToF32(*steps)), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenTest,
                         testing::Combine(testing::Values("mamba2_g1", "mamba2_g2", "mamba2_g4",
                                                          "state_spaces_mamba2", "mamba1",
                                                          "mamba1_untied", "mamba1_bias",
                                                          "falcon_mamba", "state_spaces_mamba1"),
                                          testing::Values("native", "avx2", "ref")));

// The golden folder and the model folder.
class ShippedModel : public testing::TestWithParam<std::pair<const char*, const char*>> {};
INSTANTIATE_TEST_SUITE_P(Books, ShippedModel,
                         testing::Values(std::pair("books_mamba2", kBooksModel),
                                         std::pair("books_mamba", kBooksMamba1)));

TEST_P(ShippedModel, LogitsEqualTransformers) {
  const Golden g = ReadGolden(GetParam().first);
  const auto model = LoadModel(GetParam().second);
  ASSERT_NE(model, nullptr);
  Session session = MakeSession(model, 2);
  const Logits all = FeedAll(&session, g.ids());
  Logits chosen;
  for (const Json& p : g.meta.Find("positions")->AsArray()) {
    const float* row = all.data() + p.AsInt() * model->vocab_rows();
    chosen.insert(chosen.end(), row, row + model->vocab_rows());
  }
  EXPECT_LT(RelativeError(chosen, ToF32(*g.tensors.Find("logits"))), 1e-4);
}

TEST_P(ShippedModel, TokenizerGivesTheGoldenIds) {
  const Golden g = ReadGolden(GetParam().first);
  const auto model = LoadModel(GetParam().second);
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->tokenizer()->Encode(g.meta.Find("text")->AsString()), g.ids());
}

class EachFamily : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Goldens, EachFamily,
                         testing::Values("mamba2_g2", "mamba2_g4", "mamba1", "falcon_mamba"));

TEST_P(EachFamily, SplitsAndChunkSizesDoNotMatter) {
  const auto model = LoadModel(ReadGolden(GetParam()).folder);
  const std::vector<TokenId> ids = ReadGolden(GetParam()).ids();
  Session whole = MakeSession(model);
  const Logits want = FeedAll(&whole, ids);
  for (const auto& cuts :
       std::vector<std::vector<size_t>>{{1}, {64, 128}, {31, 32, 33, 200}, {256}}) {
    Session session = MakeSession(model);
    Logits got;
    size_t begin = 0;
    for (size_t i = 0; i <= cuts.size(); ++i) {
      const size_t end = i < cuts.size() ? cuts[i] : ids.size();
      const Logits part = FeedAll(&session, std::span(ids).subspan(begin, end - begin));
      got.insert(got.end(), part.begin(), part.end());
      begin = end;
    }
    EXPECT_LT(RelativeError(got, want), 2e-5);
  }
  Session steps = MakeSession(model);
  Logits got;
  for (size_t t = 0; t < 80; ++t) {
    const Logits one = FeedAll(&steps, std::span(ids).subspan(t, 1));
    got.insert(got.end(), one.begin(), one.end());
  }
  EXPECT_LT(RelativeError(got, std::span(want).first(got.size())), 2e-5);
  for (const int64_t chunk : {1, 7, 100, 512}) {
    ModelOptions options;
    options.chunk_size = chunk;
    Session other = MakeSession(LoadModel(ReadGolden(GetParam()).folder, options));
    EXPECT_LT(RelativeError(FeedAll(&other, ids), want), 2e-5) << chunk;
  }
}

TEST_P(EachFamily, SnapshotContinuesExactly) {
  const auto model = LoadModel(ReadGolden(GetParam()).folder);
  const std::vector<TokenId> ids = ReadGolden(GetParam()).ids();
  Session session = MakeSession(model);
  FeedAll(&session, std::span(ids).first(50));
  const State saved = session.state();
  const Logits want = FeedAll(&session, std::span(ids).subspan(50, 60));
  Session other = MakeSession(model);
  other.Restore(saved);
  EXPECT_EQ(other.state().position(), 50);
  EXPECT_EQ(FeedAll(&other, std::span(ids).subspan(50, 60)), want);
  EXPECT_TRUE(other.state() == session.state());
}

TEST_P(ShippedModel, ThreadsDoNotMatter) {
  const auto model = LoadModel(GetParam().second);
  const std::vector<TokenId> ids = RandomTokens(300, model->vocab_rows(), 5);
  Session one = MakeSession(model, 1);
  const Logits want = FeedAll(&one, ids);
  for (const int threads : {2, 3, 5}) {
    Session session = MakeSession(model, threads);
    EXPECT_EQ(FeedAll(&session, ids), want) << threads;
  }
}

TEST(Float, InterpreterAgreesWithProgram) {
  for (const RandomModel& m :
       {MakeRandomModel(SmallConfig(2), 11), MakeRandomModel(SmallMamba1(), 11)}) {
    const auto model = *Model::Create(m.graph, m.weights, Json::MakeObject(), std::nullopt, {});
    const std::vector<TokenId> ids = RandomTokens(70, 61, 3);
    Session session = MakeSession(model);
    const Logits got = FeedAll(&session, ids);
    const Interpreter interpreter(m.graph, m.weights, kReferenceOnly);
    State state(m.graph);
    Logits want;
    ASSERT_TRUE(interpreter.Run(ids, &state, nullptr, &want).ok());
    EXPECT_LT(RelativeError(got, want), 1e-5);
  }
}

TEST(Float, TokenOutsideTheVocabularyIsRefusedAndChangesNothing) {
  const auto model = LoadModel("tests/golden/mamba2_g1");
  Session session = MakeSession(model);
  const State before = session.state();
  for (const TokenId bad : {-1, static_cast<TokenId>(model->vocab_rows())}) {
    const std::vector<TokenId> ids = {3, bad};
    const Status s = session.FeedAll(ids, nullptr);
    EXPECT_EQ(s.code(), Code::kInvalidArgument);
    EXPECT_TRUE(session.state() == before);
  }
}

}  // namespace
}  // namespace octet
