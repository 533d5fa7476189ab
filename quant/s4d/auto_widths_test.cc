// Contracts, on a small random model with ideal bytes:
//  1. A budget holds exactly, also where bytes do not add up. At the bytes of uniform widths the
//     winner is much closer to float.
//  2. A largest KL holds for the widths together. A solution beyond it is raised until it does.
//     Fewer nats take more bytes; fewer bytes than uniform widths of the same KL suffice.
//  3. The winner is the plan that is returned, measured as a whole; the number of threads changes
//     nothing.
//  4. What cannot be kept is refused with what can.
#include "quant/s4d/auto_widths.h"

#include <algorithm>

#include <gmock/gmock.h>

#include "quant/s4d/small_classifier_testing.h"

namespace octet {
namespace {

using testing::HasSubstr;

const S4dWidthList kList = {{2, 3, 4, 5, 6, 8, 12}, 8, 4};

class AutoWidthsTest : public testing::Test {
 protected:
  // The forms of a base are measured once.
  Result<S4dAllocation> Allocate(const S4dPlan& base, const S4dWidthLimit& limit) {
    if (forms_.empty() || base != forms_base_) {
      auto forms = MeasureS4dForms(base, model_.graph, kList, accounting_, kl_, {});
      if (!forms.ok()) return forms.status();
      forms_ = *std::move(forms);
      forms_base_ = base;
    }
    return AllocateS4dWidths(base, limit, forms_, accounting_, kl_, {});
  }
  S4dAllocation WithBudget(const S4dPlan& base, int64_t bytes) {
    Result<S4dAllocation> a = Allocate(base, {bytes, {}});
    EXPECT_TRUE(a.ok()) << a.status().message();
    return *std::move(a);
  }
  S4dAllocation WithKl(const S4dPlan& base, double kl) {
    Result<S4dAllocation> a = Allocate(base, {{}, kl});
    EXPECT_TRUE(a.ok()) << a.status().message();
    return *std::move(a);
  }
  int64_t BytesOf(const S4dPlan& plan) const { return accounting_(plan)->total(); }
  double KlOf(const S4dPlan& plan) const { return *kl_.Of(plan); }

  SmallClassifier model_;
  ThreadPool pool_{2};
  S4dMeanKl kl_ = model_.MeanKl(&pool_);
  S4dPlan forms_base_;
  std::vector<S4dTensorForms> forms_;
  S4dAccounting accounting_ = [this](const S4dPlan& plan) {
    return IdealSizes(model_.graph, model_.weights, plan);
  };
};

TEST_F(AutoWidthsTest, BeatsUniformWidthsOfTheSameBytes) {
  for (const int bits : {4, 6, 7}) {
    const S4dPlan uniform = UniformPlan(bits);
    const S4dAllocation a = WithBudget(uniform, BytesOf(uniform));
    EXPECT_EQ(a.base.kl, KlOf(uniform));
    EXPECT_EQ(a.base.sizes.total(), BytesOf(uniform));
    EXPECT_LE(a.winner.sizes.total(), BytesOf(uniform));
    EXPECT_LT(a.winner.kl, 0.7 * a.base.kl) << bits;
  }
}

TEST_F(AutoWidthsTest, IsWhatWasMeasured) {
  const S4dAllocation a = WithBudget(UniformPlan(6), 700);
  EXPECT_EQ(a.winner.kl, KlOf(a.plan));
  EXPECT_EQ(a.winner.sizes, *accounting_(a.plan));
  EXPECT_LE(BytesOf(a.plan), 700);
  int64_t bytes = a.winner.sizes.rest;
  for (const S4dTensorForms& t : a.tensors) {
    EXPECT_EQ(a.plan.widths.find(t.tensor)->second, t.forms[t.chosen].bits) << t.tensor;
    bytes += t.forms[t.chosen].bytes;
  }
  EXPECT_EQ(bytes, BytesOf(a.plan));
  for (const S4dAttempt& attempt : a.attempts) {
    if (attempt.kind == S4dAttempt::Kind::kBase) continue;
    EXPECT_LE(attempt.sizes.total(), 700);
    EXPECT_GE(attempt.kl, a.winner.kl);
  }
}

TEST_F(AutoWidthsTest, IsTheSameForAnyThreads) {
  const auto allocated = [&](int threads) {
    ThreadPool pool(threads);
    const S4dMeanKl kl = model_.MeanKl(&pool);
    const S4dPlan base = UniformPlan(6);
    auto forms = MeasureS4dForms(base, model_.graph, {{3, 5, 8}, 8, 4}, accounting_, kl, {});
    return AllocateS4dWidths(base, {{}, 0.01}, *std::move(forms), accounting_, kl, {})->plan;
  };
  EXPECT_EQ(allocated(1), allocated(2));
  EXPECT_EQ(allocated(1), allocated(5));
}

TEST_F(AutoWidthsTest, KeepsABudgetThatDoesNotAddUp) {
  // As if the whole were padded to 64 bytes, and other widths of x than the base's needed a table.
  accounting_ = [this](const S4dPlan& plan) -> Result<S4dSizes> {
    OCTET_ASSIGN(S4dSizes sizes, IdealSizes(model_.graph, model_.weights, plan));
    sizes.rest += BitsOf(plan, "layers.0.x") == 8 ? 0 : 40;
    sizes.rest += (64 - sizes.total() % 64) % 64;
    return sizes;
  };
  int64_t again = 0;
  for (const int64_t budget : {768, 790, 860, 900, 1000}) {
    const S4dAllocation a = WithBudget(UniformPlan(8), budget);
    EXPECT_GT(a.base.sizes.total(), budget);
    EXPECT_LE(BytesOf(a.plan), budget);
    EXPECT_EQ(a.winner.sizes.total(), BytesOf(a.plan));
    EXPECT_EQ(std::ranges::count(a.attempts, S4dAttempt::Kind::kSmallest, &S4dAttempt::kind), 0);
    again += std::ranges::count(a.attempts, S4dAttempt::Kind::kSolved, &S4dAttempt::kind) - 1;
  }
  EXPECT_GT(again, 0);
}

TEST_F(AutoWidthsTest, KeepsALargestKl) {
  int64_t before = 0;
  for (const double kl : {0.1, 0.01, 0.001, 0.0001}) {
    const S4dAllocation a = WithKl(UniformPlan(6), kl);
    EXPECT_LE(KlOf(a.plan), kl);
    EXPECT_GT(BytesOf(a.plan), before);
    before = BytesOf(a.plan);
  }
  for (const int bits : {5, 6}) {
    const S4dPlan uniform = UniformPlan(bits);
    const S4dAllocation a = WithKl(uniform, KlOf(uniform));
    EXPECT_LT(BytesOf(a.plan), 0.95 * static_cast<double>(BytesOf(uniform))) << bits;
  }
}

TEST_F(AutoWidthsTest, RaisesASolutionBeyondTheKl) {
  int raised = 0;
  for (double limit = 0.2; limit > 1e-4; limit /= 1.7) {
    const S4dAllocation a = WithKl(UniformPlan(6), limit);
    EXPECT_LE(a.winner.kl, limit);
    for (size_t i = 1; i < a.attempts.size(); ++i) {
      const S4dAttempt &last = a.attempts[i - 1], &next = a.attempts[i];
      if (next.kind != S4dAttempt::Kind::kRaised) continue;
      ++raised;
      EXPECT_GT(last.kl, limit);
      EXPECT_GT(next.sizes.total(), last.sizes.total());
    }
  }
  EXPECT_GT(raised, 3) << "of these limits none needs it";
}

TEST_F(AutoWidthsTest, RefinesByWhatIsMeasured) {
  int refined = 0;
  for (const int64_t budget : {520, 560, 600, 650, 700, 750, 800}) {
    refined += WithBudget(UniformPlan(6), budget).winner.kind == S4dAttempt::Kind::kRefined;
  }
  for (const double limit : {0.03, 0.02, 0.01, 0.007, 0.005, 0.003, 0.001}) {
    refined += WithKl(UniformPlan(6), limit).winner.kind == S4dAttempt::Kind::kRefined;
  }
  EXPECT_GT(refined, 3);
}

TEST_F(AutoWidthsTest, RefusesWhatCannotBeKept) {
  const auto error = [&](const S4dPlan& base, const S4dWidthLimit& limit) {
    return std::string(Allocate(base, limit).status().message());
  };
  S4dPlan least = UniformPlan(2);
  least.x.code.bits = 4;
  const int64_t bytes = BytesOf(least);
  EXPECT_THAT(error(UniformPlan(6), {bytes - 1, {}}),
              HasSubstr(std::to_string(bytes - 1) + " bytes cannot be kept"));
  EXPECT_THAT(error(UniformPlan(6), {bytes - 1, {}}),
              HasSubstr("the model has " + std::to_string(bytes) + " bytes"));
  EXPECT_EQ(WithBudget(UniformPlan(6), bytes).winner.sizes.total(), bytes);
  EXPECT_THAT(error(UniformPlan(6), {{}, 1e-12}), HasSubstr("with the most bits of every tensor"));
  EXPECT_THAT(error(UniformPlan(6), {}), HasSubstr("not both"));
  EXPECT_THAT(error(UniformPlan(6), {1000, 0.1}), HasSubstr("not both"));
  EXPECT_THAT(
      std::string(AllocateS4dWidths({}, {1000, {}}, {}, accounting_, kl_, {}).status().message()),
      HasSubstr("quantizes nothing"));
}

}  // namespace
}  // namespace octet
