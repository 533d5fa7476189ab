#include "eval/paired.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace octet {
namespace {

using ItemKey = std::pair<std::string_view, int64_t>;
using ItemIndex = std::map<ItemKey, const ItemResult*>;

Estimate Interval(const MeanAndError& m) {
  return {m.value, m.value - kNormal95 * m.error, m.value + kNormal95 * m.error};
}

Result<const ItemResult*> Partner(const ItemIndex& index, const ItemResult& item) {
  const auto found = index.find({item.task, item.doc});
  if (found == index.end()) {
    return InvalidArgument(fmt::format("the baseline has no item {} of {}", item.doc, item.task));
  }
  const ItemResult& partner = *found->second;
  if (partner.digest != item.digest || partner.gold != item.gold ||
      partner.scores.size() != item.scores.size()) {
    return InvalidArgument(
        fmt::format("item {} of {} is not the same in the baseline: it was made "
                    "of other data",
                    item.doc, item.task));
  }
  return &partner;
}

double GoldLogLikelihood(const ItemResult& item) {
  return item.scores[static_cast<size_t>(std::max<int64_t>(item.gold, 0))].log_likelihood;
}

}  // namespace

double McNemarExact(int64_t lost, int64_t won) {
  const auto n = static_cast<double>(lost + won);
  double tail = 0;
  for (int64_t k = 0; k <= std::min(lost, won); ++k) {
    const auto x = static_cast<double>(k);
    tail += std::exp(std::lgamma(n + 1) - std::lgamma(x + 1) - std::lgamma(n - x + 1) -
                     n * std::numbers::ln2);
  }
  return std::min(1.0, 2 * tail);
}

Result<PairedReport> ComparePaired(std::span<const ItemResult> baseline,
                                   std::span<const ItemResult> candidate) {
  ItemIndex index;
  for (const ItemResult& item : baseline) {
    index[{item.task, item.doc}] = &item;
  }
  PairedReport report;
  MeanAndError average;  // its error squared until the end
  for (const TaskSpec& task : AllTasks()) {
    PairedTask t;
    t.task = &task;
    std::vector<double> before, after, difference, log_likelihood;
    for (const ItemResult& item : candidate) {
      if (item.task != task.name) continue;
      OCTET_ASSIGN(const ItemResult* partner, Partner(index, item));
      before.push_back(Counts(task, *partner));
      after.push_back(Counts(task, item));
      difference.push_back(after.back() - before.back());
      log_likelihood.push_back(GoldLogLikelihood(item) - GoldLogLikelihood(*partner));
      t.lost += difference.back() < 0;
      t.won += difference.back() > 0;
      t.changed += task.papers_take_norm ? item.prediction_norm != partner->prediction_norm
                                         : item.prediction != partner->prediction;
    }
    if (difference.empty()) continue;
    t.items = std::ssize(difference);
    t.baseline = MeanOf(before).value;
    t.candidate = MeanOf(after).value;
    const MeanAndError mean = MeanOf(difference);
    t.difference = Interval(mean);
    t.log_likelihood = Interval(MeanOf(log_likelihood));
    t.p = McNemarExact(t.lost, t.won);
    average.value += mean.value;
    average.error += mean.error * mean.error;
    report.tasks.push_back(t);
  }
  const double n = static_cast<double>(std::max<size_t>(report.tasks.size(), 1));
  report.average = Interval({average.value / n, std::sqrt(average.error) / n});
  return report;
}

}  // namespace octet
