// Contracts:
//  1. ToJson and ParseS4dQuantization are inverse: the ranges keep their bits.
//  2. Ranges of unknown sites, of the wrong number, not finite or the wrong way round are refused,
//     as are plans for another model and unknown members.
#include "quant/s4d/quantized.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/s4d_block_testing.h"

namespace octet {
namespace {

using testing::HasSubstr;

class QuantizedTest : public testing::Test {
 protected:
  S4dQuantization Calibrated() const {
    ThreadPool pool(1);
    const auto frames = [](int64_t i) {
      return std::vector<float>{0.1f * static_cast<float>(i), 1 / 3.0f, -0.7f, 1e-7f};
    };
    S4dQuantization q;
    q.plan.x.code = {8, S4dGrain::kMode, true};
    q.plan.widths["logits"] = 5;
    q.ranges = *ObserveS4d(graph_, MakeS4dBlockWeights({}, 4), 3, frames, &pool);
    return q;
  }
  std::string Refusal(const char* member, const Json& value) const {
    Json j = ToJson(Calibrated());
    j.Set(member, value);
    return std::string(ParseS4dQuantization(j, graph_).status().message());
  }
  std::string RefusedRange(const char* site, const char* text) const {
    Json ranges = *ToJson(Calibrated()).Find("ranges");
    ranges.Set(site, *Json::Parse(text));
    return Refusal("ranges", ranges);
  }

  Graph graph_ = MakeS4dBlocks({});
};

TEST_F(QuantizedTest, GoesThereAndBack) {
  const Json j = *Json::Parse(ToJson(Calibrated()).Dump(2));
  const Result<S4dQuantization> back = ParseS4dQuantization(j, graph_);
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(*back, Calibrated());
}

TEST_F(QuantizedTest, RefusesWhatIsNoRange) {
  EXPECT_THAT(RefusedRange("layers.9.u", "[]"), HasSubstr("no site layers.9.u"));
  EXPECT_THAT(RefusedRange("frames", "[[0,1]]"), HasSubstr("frames: is no list of 2 ranges"));
  EXPECT_THAT(RefusedRange("frames", "[[0,1],[2,1]]"), HasSubstr("[2, 1] is no range"));
  EXPECT_THAT(RefusedRange("frames", R"([[0,1],[0,"Infinity"]])"), HasSubstr("is no range"));
  EXPECT_THAT(RefusedRange("frames", "[[0,1],[0,1e39]]"), HasSubstr("is no range"));
  EXPECT_THAT(RefusedRange("frames", "[[0,1],[0,1,2]]"), HasSubstr("is no range"));
  EXPECT_THAT(Refusal("ranges", Json(3)), HasSubstr("ranges: is no object"));
}

TEST_F(QuantizedTest, RefusesOtherModelsAndMembers) {
  EXPECT_THAT(Refusal("plan", *Json::Parse(R"({"widths": {"layers.9.x": 8}})")),
              HasSubstr("plan: widths: the model has no tensor layers.9.x"));
  EXPECT_THAT(Refusal("plan", *Json::Parse(R"({"Q": 1})")), HasSubstr("unknown member Q"));
  EXPECT_THAT(Refusal("graph", Json(1)), HasSubstr("must have the members"));
  EXPECT_FALSE(ParseS4dQuantization(Json(), graph_).ok());
  EXPECT_FALSE(ParseS4dQuantization(Json("octet-s4d"), graph_).ok());
}

}  // namespace
}  // namespace octet
