// Contracts:
//  1. The total is what the export says, and the bytes of a tensor are those of its array.
//  2. A width changes the bytes of its tensor alone, but for padding.
//  3. With these bytes an allocation keeps a budget, and what it chooses is lowered.
#include "edge/stored_sizes.h"

#include <algorithm>
#include <cstdlib>

#include <gmock/gmock.h>

#include "edge/c_source.h"
#include "edge/small_model_testing.h"
#include "quant/s4d/auto_widths.h"

namespace octet {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Pair;

IntegerS4d Lower(const SmallModel& m, const S4dPlan& plan) {
  Result<IntegerS4d> integers = LowerS4d(m.graph, m.weights, plan, m.ranges);
  EXPECT_TRUE(integers.ok()) << integers.status().message();
  return integers.ok() ? *integers : IntegerS4d();
}

TEST(StoredSizes, AddUpToTheExport) {
  for (const S4dBlockSizes& sizes : VariousSizes()) {
    const SmallModel m = MakeSmallModel(sizes, 3);
    for (const NamedPlan& p : VariousPlans()) {
      const IntegerS4d integers = Lower(m, p.plan);
      const S4dSizes stored = StoredSizes(integers);
      const CSizes all = SizesOf(integers);
      EXPECT_EQ(stored.total(), all.tables() + all.context) << p.name;
      EXPECT_EQ(stored.ram, all.context) << p.name;
      EXPECT_GT(stored.rest, all.heads + all.norms) << p.name;
      EXPECT_EQ(all.norms, sizes.norms ? 9 * sizes.d_model * sizes.layers : 0);
      int64_t states = 0;
      for (const auto& [tensor, bytes] : stored.tensors) {
        EXPECT_THAT(S4dTensors(m.graph), Contains(tensor));
        EXPECT_GT(bytes, 0) << tensor;
        if (tensor.ends_with(".x")) states += bytes;
      }
      EXPECT_EQ(states, all.state) << p.name;
    }
  }
  const SmallModel m = MakeSmallModel({2, 5, 4, 2, 3, true, false, false}, 3);
  const S4dSizes stored = StoredSizes(Lower(m, EightBits(9)));
  EXPECT_THAT(
      stored.tensors,
      AllOf(Contains(Pair("encoder", 2 * 5)), Contains(Pair("logits", 5 * 4)),
            Contains(Pair("layers.0.A", 5 * 3 * 5)), Contains(Pair("layers.1.z", 50)),
            Contains(Pair("layers.1.B", 5 * 3 * 3)), Contains(Pair("layers.0.C", 5 * 3 * 2 * 2)),
            Contains(Pair("layers.1.x", 5 * 3 * 2 * 2)), Contains(Pair("layers.1.y", 5 * 256))));
}

TEST(StoredSizes, FollowFromTheWidth) {
  const SmallModel m = MakeSmallModel({2, 5, 4, 2, 3, true, false, false}, 3);
  const S4dSizes base = StoredSizes(Lower(m, EightBits(8)));
  const auto with = [&](const std::string& tensor, int bits) {
    S4dPlan plan = EightBits(8);
    plan.widths[tensor] = bits;
    return StoredSizes(Lower(m, plan));
  };
  for (const std::string& tensor : S4dTensors(m.graph)) {
    S4dSizes other = with(tensor, 4);
    EXPECT_LE(std::abs(other.rest - base.rest), 7) << tensor;
    other.tensors[tensor] = 0;
    S4dSizes same = base;
    same.tensors[tensor] = 0;
    EXPECT_EQ(other.tensors, same.tensors) << tensor;
  }
  EXPECT_THAT(with("layers.0.z", 4).tensors, Contains(Pair("layers.0.z", 30)));  // 10 rows of 5
  EXPECT_THAT(with("layers.0.x", 9).tensors, Contains(Pair("layers.0.x", 60)));
  EXPECT_THAT(with("layers.0.y", 4).tensors, Contains(Pair("layers.0.y", 5 * 16)));
}

TEST(StoredSizes, GuideAnAllocation) {
  const SmallModel m = MakeSmallModel({1, 5, 4, 2, 3, true, false, false}, 3);
  const S4dAccounting accounting = [&](const S4dPlan& plan) -> Result<S4dSizes> {
    OCTET_ASSIGN(const IntegerS4d integers, LowerS4d(m.graph, m.weights, plan, m.ranges));
    return StoredSizes(integers);
  };
  ThreadPool pool(2);
  const auto frames = [](int64_t i) { return RandomFrames(50, 1, static_cast<uint64_t>(i)); };
  const auto kl = S4dMeanKl::Create(m.graph, m.weights, m.ranges, 6, frames, &pool);
  S4dPlan base = EightBits(8);
  base.linears.bits = 4;
  base.activations.bits = 6;
  const auto forms = MeasureS4dForms(base, m.graph, {{2, 4, 5, 8, 16}, 16, 4}, accounting, *kl, {});
  ASSERT_TRUE(forms.ok()) << forms.status().message();
  for (const S4dTensorForms& t : *forms) {
    const std::string last = t.tensor.substr(t.tensor.rfind('.') + 1);
    const bool any = last == "x" || last == "phase" || (last.size() == 1 && last[0] <= 'D');
    EXPECT_EQ(t.forms.back().bits, any ? 16 : 8) << t.tensor << ": others have int8 codes";
  }
  const int64_t bytes = accounting(base)->total();
  for (const int64_t budget : {bytes - 300, bytes - 1, bytes, bytes + 100}) {
    const auto a = AllocateS4dWidths(base, {budget, {}}, *forms, accounting, *kl, {});
    ASSERT_TRUE(a.ok()) << a.status().message();
    const S4dSizes stored = StoredSizes(Lower(m, a->plan));
    EXPECT_LE(stored.total(), budget);
    EXPECT_EQ(stored, a->winner.sizes);
    if (budget < bytes) continue;
    EXPECT_LT(a->winner.kl, 0.7 * a->base.kl);
  }
}

}  // namespace
}  // namespace octet
