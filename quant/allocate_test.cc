// Contracts of quant/allocate.h: against all assignments of small random instances, LeastCost keeps
// the budget and has the least cost, then the fewest bytes; FewestBytes keeps the cost and has the
// fewest bytes. With units larger than a byte the budget still holds and the loss is bounded. What
// cannot be kept, and forms that make no sense, are refused.
#include "quant/allocate.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "base/rng.h"

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

// The least cost when forms can be taken in part, a bound on that of whole ones: the largest
// savings per byte first. Things have two forms.
double RelaxedCost(const std::vector<Choices>& things, int64_t room) {
  std::vector<Choice> upgrades;
  double cost = 0;
  for (const Choices& c : things) {
    cost += c[0].cost;
    upgrades.push_back({c[1].bytes - c[0].bytes, c[0].cost - c[1].cost});
  }
  std::ranges::sort(upgrades, std::greater<>(),
                    [](const Choice& u) { return u.cost / static_cast<double>(u.bytes); });
  for (const Choice& u : upgrades) {
    const int64_t taken = std::min(room, u.bytes);
    cost -= u.cost * static_cast<double>(taken) / static_cast<double>(u.bytes);
    room -= taken;
  }
  return cost;
}

// Sizes with no common divisor and far more than 2^17 bytes between them.
TEST(AllocateTest, LargeUnitsKeepTheBudget) {
  Rng rng(5);
  std::vector<Choices> things;
  int64_t smallest = 0, room = 0;
  for (int i = 0; i < 200; ++i) {
    const auto small = static_cast<int64_t>(rng.Below(1000));
    const auto extra = static_cast<int64_t>(1000 + rng.Below(400000));
    things.push_back({{small, 1.0 + static_cast<double>(rng.Uniform(0, 1))}, {small + extra, 0.5}});
    smallest += small;
    room += extra;
  }
  room /= 2;
  const auto forms = LeastCost(things, smallest + room);
  ASSERT_TRUE(forms.ok()) << forms.status().message();
  const Total got = TotalOf(things, *forms);
  EXPECT_LE(got.bytes, smallest + room);
  // What rounding wastes, and one upgrade that does not fit whole.
  const int64_t unused = 200 * (room / (int64_t{1} << 17) + 1);
  EXPECT_LE(got.cost, RelaxedCost(things, room - unused) + 1.5);
}

// Rounded up to larger units, the widest forms take more units than their bytes hold.
TEST(AllocateTest, LargeUnitsReachTheWidestForms) {
  const std::vector<Choices> things = {{{0, 1}, {200001, 0}}, {{0, 1}, {200000, 0}}};
  const std::vector<size_t> widest = {1, 1};
  EXPECT_EQ(*FewestBytes(things, 0), widest);
  EXPECT_EQ(*LeastCost(things, int64_t{1} << 40), widest);
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
