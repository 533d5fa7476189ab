// Contracts: streams of the shipped models that decode together (Session::FeedEach) get the bits of
// decoding alone, whatever text each has read, for one thread and for two. So do streams of a
// quantized model on every ISA, for numbers around the least that kernels for many tokens accept,
// whether or not these differ from the kernels for one; on AVX2 they do.
#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "exec/program.h"
#include "kernels/isa.h"
#include "quant/passes_testing.h"
#include "quant/recipe.h"
#include "runtime/model.h"
#include "runtime/session.h"
#include "tests/models.h"

namespace octet {
namespace {

class StreamsTest : public testing::TestWithParam<const char*> {};

TEST_P(StreamsTest, DecodeTogetherAsAlone) {
  constexpr size_t kStreams = 9;
  const std::shared_ptr<const Model> model = *Model::Load(GetParam(), {});
  const auto vocab = static_cast<size_t>(model->vocab_rows());
  for (const int threads : {1, 2}) {
    const auto pool = std::make_shared<ThreadPool>(threads);
    std::vector<std::unique_ptr<Session>> together, alone;
    std::vector<Session*> sessions;
    std::vector<float> logits(kStreams * vocab), last(vocab);
    Rng rng(7);
    const auto token = [&] { return static_cast<TokenId>(rng.Below(vocab)); };
    for (size_t i = 0; i < kStreams; ++i) {
      std::vector<TokenId> prompt(1 + 37 * i);
      std::ranges::generate(prompt, token);
      alone.push_back(std::make_unique<Session>(model, pool));
      ASSERT_TRUE(alone.back()->Feed(prompt, last).ok());
      together.push_back(std::make_unique<Session>(model, pool));
      together.back()->Restore(alone.back()->state());
      sessions.push_back(together.back().get());
    }
    for (int step = 0; step < 3; ++step) {
      std::vector<TokenId> ids(kStreams);
      std::ranges::generate(ids, token);
      ASSERT_TRUE(Session::FeedEach(sessions, ids, logits).ok());
      for (size_t i = 0; i < kStreams; ++i) {
        ASSERT_TRUE(alone[i]->Feed({&ids[i], 1}, last).ok());
        EXPECT_TRUE(std::ranges::equal(last, std::span(logits).subspan(i * vocab, vocab)))
            << "stream " << i << " of " << threads << " threads, step " << step;
        EXPECT_TRUE(alone[i]->state() == together[i]->state()) << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, StreamsTest, testing::Values(kBooksModel, kBooksMamba1));

class CodesOfStreamsTest : public testing::TestWithParam<const char*> {};

TEST_P(CodesOfStreamsTest, DecodeTogetherAsAloneOnEveryIsa) {
  Mamba2Config config = SmallConfig(1);
  config.vocab_rows = 540;  // parts of 512 rows and 28
  const RandomModel model = MakeRandomModel(config, 3);
  const auto vocab = static_cast<size_t>(model.graph.vocab_rows);
  Json options = Json::MakeObject();
  if (std::string(GetParam()) != "w8a8-dynamic") options.Set("head", "i8a8");
  const auto run = PlanRecipeNamed(GetParam(), options, Family::kMamba2);
  ASSERT_TRUE(run.ok()) << run.status().message();
  ThreadPool pool(2);
  const TokenDataset text{{RandomTokens(200, model.graph.vocab_rows, 4)}};
  const auto q = Quantize(*run, model.graph, model.weights, text, Json(), &pool, {});
  ASSERT_TRUE(q.ok()) << q.status().message();
  for (const std::string& isa : AvailableIsas()) {
    ASSERT_TRUE(ForceIsa(isa).ok());
    const auto program = Program::Lower(q->graph, q->weights, {AllowedIsas(), false});
    ASSERT_TRUE(program.ok()) << program.status().message();
    const bool differ = std::ranges::any_of((*program)->Kernels(), [](const StepKernels& s) {
      return s.decode.starts_with("linear/") && s.decode != s.prefill;
    });
    EXPECT_TRUE(differ || isa != "avx2" || std::string(GetParam()).ends_with("w4a8"));
    ProgramWorkspace workspace(&pool);
    for (const size_t streams : {2, 3, 4, 15, 16, 19}) {
      std::vector<State> together(streams, State(q->graph)), alone = together;
      std::vector<State*> states;
      for (State& state : together) {
        states.push_back(&state);
      }
      std::vector<float> logits(streams * vocab), last(vocab);
      for (uint64_t step = 0; step < 3; ++step) {
        const auto ids = RandomTokens(static_cast<int64_t>(streams), model.graph.vocab_rows, step);
        ASSERT_TRUE((*program)->RunEach(ids, states, &workspace, logits).ok());
        for (size_t i = 0; i < streams; ++i) {
          ASSERT_TRUE((*program)->RunForLast({&ids[i], 1}, &alone[i], &workspace, last).ok());
          EXPECT_TRUE(std::ranges::equal(last, std::span(logits).subspan(i * vocab, vocab)))
              << isa << ": stream " << i << " of " << streams << ", step " << step;
          EXPECT_TRUE(alone[i] == together[i]) << isa << ": " << i;
        }
      }
    }
  }
  EXPECT_TRUE(ForceIsa("native").ok());
}

INSTANTIATE_TEST_SUITE_P(Recipes, CodesOfStreamsTest,
                         testing::Values("ssdi8-plus-w8a8", "ssdi8-plus-w4a8", "w8a8-dynamic"));

}  // namespace
}  // namespace octet
