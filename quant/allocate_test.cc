// Contracts of quant/allocate.h: against all assignments of small random instances, LeastCost keeps
// the budget and has the least cost, then the fewest bytes; FewestBytes keeps the cost and has the
// fewest bytes. With units larger than a byte the budget still holds and the loss is bounded. What
// cannot be kept, and forms that make no sense, are refused.
#include "quant/allocate.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <limits>

namespace octet {
namespace {

struct Total {
  int64_t bytes = 0;
  double cost = 0;
};

Total TotalOf(const std::vector<Choices>& things, const std::vector<size_t>& forms) {
  Total t;
  for (size_t i = 0; i < things.size(); ++i) {
    t.bytes += things[i].at(forms.at(i)).bytes;
    t.cost += things[i][forms[i]].cost;
  }
  return t;
}

// Calls visit(total) for every assignment.
template <class Visit>
void ForEachAssignment(const std::vector<Choices>& things, const Visit& visit) {
  std::vector<size_t> forms(things.size(), 0);
  while (true) {
    visit(TotalOf(things, forms));
    size_t i = 0;
    while (i < forms.size() && ++forms[i] == things[i].size()) {
      forms[i++] = 0;
    }
    if (i == forms.size()) return;
  }
}

// Costs are multiples of 1/8, so that sums are exact in any order.
std::vector<Choices> RandomThings() {
  const size_t n = *rc::gen::inRange<size_t>(1, 6);
  const int64_t unit = *rc::gen::element<int64_t>(1, 3, 128);
  std::vector<Choices> things(n);
  for (Choices& choices : things) {
    choices.resize(*rc::gen::inRange<size_t>(1, 5));
    for (Choice& c : choices) {
      c.bytes = *rc::gen::inRange<int64_t>(0, 40) * unit;
      c.cost = *rc::gen::inRange(0, 60) / 8.0;
    }
  }
  return things;
}

RC_GTEST_PROP(AllocateTest, LeastCostIsOptimal, ()) {
  const std::vector<Choices> things = RandomThings();
  const int64_t budget = *rc::gen::inRange<int64_t>(0, 200) * 128;
  double least = std::numeric_limits<double>::infinity();
  int64_t bytes = 0;
  ForEachAssignment(things, [&](const Total& t) {
    if (t.bytes > budget || t.cost > least || (t.cost == least && t.bytes >= bytes)) return;
    least = t.cost;
    bytes = t.bytes;
  });
  const auto forms = LeastCost(things, budget);
  RC_ASSERT(forms.ok() == (least < std::numeric_limits<double>::infinity()));
  if (!forms.ok()) return;
  const Total got = TotalOf(things, *forms);
  RC_ASSERT(got.cost == least);
  RC_ASSERT(got.bytes == bytes);
}

RC_GTEST_PROP(AllocateTest, FewestBytesIsOptimal, ()) {
  const std::vector<Choices> things = RandomThings();
  const double max_cost = *rc::gen::inRange(0, 200) / 8.0;
  int64_t fewest = std::numeric_limits<int64_t>::max();
  ForEachAssignment(things, [&](const Total& t) {
    if (t.cost <= max_cost) fewest = std::min(fewest, t.bytes);
  });
  const auto forms = FewestBytes(things, max_cost);
  RC_ASSERT(forms.ok() == (fewest < std::numeric_limits<int64_t>::max()));
  if (!forms.ok()) return;
  const Total got = TotalOf(things, *forms);
  RC_ASSERT(got.cost <= max_cost);
  RC_ASSERT(got.bytes == fewest);
}

// Sizes with no common divisor and far more than 2^17 bytes between them.
TEST(AllocateTest, LargeUnitsKeepTheBudget) {
  std::vector<Choices> things;
  int64_t all = 0;
  for (int64_t i = 0; i < 60; ++i) {
    const int64_t bytes = 1'000'003 + i * 7919;
    things.push_back({{bytes, 4.0}, {2 * bytes + 1, 1.0 + 0.01 * static_cast<double>(i)}});
    all += bytes;
  }
  const int64_t budget = all + all / 3;
  const auto forms = LeastCost(things, budget);
  ASSERT_TRUE(forms.ok()) << forms.status().message();
  const Total got = TotalOf(things, *forms);
  EXPECT_LE(got.bytes, budget);
  // The exact bound of the relaxed problem: upgrades taken in order of saved cost per byte.
  double bound = 4.0 * 60;
  double left = static_cast<double>(all / 3);
  for (int64_t i = 0; i < 60; ++i) {  // ascending size and descending saving: best ratio first
    const auto extra = static_cast<double>(1'000'004 + i * 7919);
    const double share = std::min(1.0, left / extra);
    bound -= share * (3.0 - 0.01 * static_cast<double>(i));
    left -= share * extra;
  }
  EXPECT_GE(got.cost, bound - 1e-9);
  EXPECT_LE(got.cost, bound + 3.0);  // at most one upgrade less than the relaxed optimum
}

TEST(AllocateTest, WhatCannotBeIsRefused) {
  const std::vector<Choices> things = {{{10, 1.0}, {20, 0.5}}, {{5, 2.0}}};
  EXPECT_TRUE(LeastCost(things, 15).ok());
  EXPECT_EQ(LeastCost(things, 14).status().message(),
            "14 bytes are fewer than the 15 bytes of the smallest forms");
  EXPECT_TRUE(FewestBytes(things, 2.5).ok());
  EXPECT_FALSE(FewestBytes(things, 2.4).ok());
  const std::vector<Choices> none = {{}}, negative = {{{-1, 1.0}}},
                             nan = {{{1, std::numeric_limits<double>::quiet_NaN()}}};
  EXPECT_FALSE(LeastCost(none, 100).ok());
  EXPECT_FALSE(LeastCost(negative, 100).ok());
  EXPECT_FALSE(LeastCost(nan, 100).ok());
  EXPECT_TRUE(LeastCost({}, 0)->empty());
}

}  // namespace
}  // namespace octet
