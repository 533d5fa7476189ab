#include "quant/allocate.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include <fmt/format.h>

namespace octet {
namespace {

constexpr int64_t kMaxUnits = int64_t{1} << 17;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

int64_t Smallest(const Choices& choices) {
  return std::ranges::min_element(choices, {}, &Choice::bytes)->bytes;
}

int64_t Largest(const Choices& choices) {
  return std::ranges::max_element(choices, {}, &Choice::bytes)->bytes;
}

Status Check(std::span<const Choices> things) {
  for (const Choices& choices : things) {
    if (choices.empty() || choices.size() > 255) {
      return InvalidArgument(
          fmt::format("a thing has {} forms, but must have 1 to 255", choices.size()));
    }
    for (const Choice& c : choices) {
      if (c.bytes < 0 || c.bytes > (int64_t{1} << 50) || !(c.cost >= 0) || c.cost == kInfinity) {
        return InvalidArgument(fmt::format("a form has {} bytes and cost {}", c.bytes, c.cost));
      }
    }
  }
  return {};
}

// best_[u]: the least cost of all things with at most u units beyond their smallest forms.
class Knapsack {
 public:
  // `room`: bytes beyond the smallest forms that are worth considering.
  Knapsack(std::span<const Choices> things, int64_t room) : things_(things) {
    int64_t most = 0;
    for (const Choices& choices : things) {
      most += Largest(choices) - Smallest(choices);
    }
    unit_ = std::max<int64_t>(1, CommonDivisor());
    const int64_t units = std::min(room, most) / unit_;
    if (units > kMaxUnits) unit_ *= (units + kMaxUnits - 1) / kMaxUnits;
    size_t widest = 0;  // units are rounded up: of all things together more than `most`
    for (const Choices& choices : things) {
      widest += Units(choices, *std::ranges::max_element(choices, {}, &Choice::bytes));
    }
    best_.assign(std::min(static_cast<size_t>(room / unit_), widest) + 1, 0.0);
    for (const Choices& choices : things) {
      Add(choices);
    }
  }

  const std::vector<double>& best() const { return best_; }

  // The forms behind best()[units].
  std::vector<size_t> Forms(size_t units) const {
    std::vector<size_t> forms(things_.size());
    for (size_t i = things_.size(); i-- > 0;) {
      forms[i] = taken_[i][units];
      units -= Units(things_[i], things_[i][forms[i]]);
    }
    return forms;
  }

 private:
  int64_t CommonDivisor() const {
    int64_t divisor = 0;
    for (const Choices& choices : things_) {
      for (const Choice& c : choices) {
        divisor = std::gcd(divisor, c.bytes - Smallest(choices));
      }
    }
    return divisor;
  }

  size_t Units(const Choices& choices, const Choice& c) const {
    return static_cast<size_t>((c.bytes - Smallest(choices) + unit_ - 1) / unit_);
  }

  void Add(const Choices& choices) {
    std::vector<double> best(best_.size(), kInfinity);
    std::vector<uint8_t>& taken = taken_.emplace_back(best_.size());
    for (size_t i = 0; i < choices.size(); ++i) {
      const size_t size = Units(choices, choices[i]);
      for (size_t u = size; u < best.size(); ++u) {
        const double cost = best_[u - size] + choices[i].cost;
        if (cost >= best[u]) continue;
        best[u] = cost;
        taken[u] = static_cast<uint8_t>(i);
      }
    }
    best_ = std::move(best);
  }

  std::span<const Choices> things_;
  int64_t unit_;
  std::vector<double> best_;
  std::vector<std::vector<uint8_t>> taken_;  // by thing and units: the form that it takes
};

}  // namespace

Result<std::vector<size_t>> LeastCost(std::span<const Choices> things, int64_t budget) {
  OCTET_TRY(Check(things));
  int64_t smallest = 0;
  for (const Choices& choices : things) {
    smallest += Smallest(choices);
  }
  if (smallest > budget) {
    return InvalidArgument(fmt::format("{} bytes are fewer than the {} bytes of the smallest forms",
                                       budget, smallest));
  }
  const Knapsack knapsack(things, budget - smallest);
  const std::vector<double>& best = knapsack.best();
  const auto first = std::ranges::find(best, best.back());
  return knapsack.Forms(static_cast<size_t>(first - best.begin()));
}

Result<std::vector<size_t>> FewestBytes(std::span<const Choices> things, double max_cost) {
  OCTET_TRY(Check(things));
  const Knapsack knapsack(things, std::numeric_limits<int64_t>::max());
  const std::vector<double>& best = knapsack.best();
  const auto first = std::ranges::find_if(best, [&](double cost) { return cost <= max_cost; });
  if (first == best.end()) {
    return InvalidArgument(
        fmt::format("a cost of {} is below the least possible, {}", max_cost, best.back()));
  }
  return knapsack.Forms(static_cast<size_t>(first - best.begin()));
}

}  // namespace octet
