// Contract: streams of the shipped models that decode together (Session::FeedEach) get the bits of
// decoding alone, whatever text each has read, for one thread and for two.
#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
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

}  // namespace
}  // namespace octet
