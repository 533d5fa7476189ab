#include "quant/s4d/auto_widths.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "quant/allocate.h"

namespace octet {
namespace {

constexpr int kRounds = 4;

using Kind = S4dAttempt::Kind;
using Picks = std::vector<size_t>;  // by tensor: the index of its form

class Search {
 public:
  Search(const S4dPlan& base, const S4dWidthLimit& limit, std::vector<S4dTensorForms> forms,
         const S4dAccounting& accounting, const S4dMeanKl& mean_kl, const Progress& progress)
      : base_(base),
        limit_(limit),
        accounting_(accounting),
        mean_kl_(mean_kl),
        progress_(progress) {
    result_.tensors = std::move(forms);
    for (const S4dTensorForms& t : result_.tensors) {
      Choices& choices = choices_.emplace_back();
      for (const S4dForm& f : t.forms) {
        choices.push_back({f.bytes, f.kl});
      }
    }
  }

  Result<S4dAllocation> Run() {
    const Picks base = PicksOf([](const S4dTensorForms& t) { return t.base; });
    OCTET_ASSIGN(result_.base, Try(base, Kind::kBase));
    OCTET_TRY(limit_.max_kl ? WithinKl() : WithinBudget());
    OCTET_TRY(Refine());
    result_.plan = PlanOf(best_);
    for (size_t i = 0; i < best_.size(); ++i) {
      result_.tensors[i].chosen = best_[i];
    }
    return std::move(result_);
  }

 private:
  const S4dForm& Form(size_t i, size_t form) const { return result_.tensors[i].forms[form]; }

  template <class Pick>
  Picks PicksOf(const Pick& pick) const {
    Picks picks;
    for (const S4dTensorForms& t : result_.tensors) {
      picks.push_back(static_cast<size_t>(pick(t)));
    }
    return picks;
  }

  // Of the tensors that have forms.
  int64_t BytesOf(const Picks& picks) const {
    int64_t bytes = 0;
    for (size_t i = 0; i < picks.size(); ++i) {
      bytes += Form(i, picks[i]).bytes;
    }
    return bytes;
  }

  double CostOf(const Picks& picks) const {
    double cost = 0;
    for (size_t i = 0; i < picks.size(); ++i) {
      cost += Form(i, picks[i]).kl;
    }
    return cost;
  }

  S4dPlan PlanOf(const Picks& picks) const {
    S4dPlan plan = base_;
    for (size_t i = 0; i < picks.size(); ++i) {
      plan.widths[result_.tensors[i].tensor] = Form(i, picks[i]).bits;
    }
    return plan;
  }

  // Whether the limit allows an attempt, and whether it is better than another that is allowed.
  bool Fits(const S4dAttempt& a) const {
    return limit_.max_kl ? a.kl <= *limit_.max_kl : a.sizes.total() <= *limit_.budget_bytes;
  }
  bool Better(const S4dAttempt& a, const S4dAttempt& b) const {
    const int64_t bytes = a.sizes.total(), others = b.sizes.total();
    if (limit_.max_kl) return bytes < others || (bytes == others && a.kl < b.kl);
    return a.kl < b.kl || (a.kl == b.kl && bytes < others);
  }

  bool Tried(const Picks& picks) const { return tried_.contains(picks); }

  // Measures; the best that fits is kept.
  Result<S4dAttempt> Try(const Picks& picks, Kind kind) {
    if (const auto it = tried_.find(picks); it != tried_.end()) return it->second;
    const S4dPlan plan = PlanOf(picks);
    S4dAttempt a{kind, {}, 0};
    OCTET_ASSIGN(a.sizes, accounting_(plan));
    OCTET_ASSIGN(a.kl, mean_kl_.Of(plan));
    rest_ = a.sizes.total() - BytesOf(picks);
    tried_[picks] = a;
    result_.attempts.push_back(a);
    if (Fits(a) && (best_.empty() || Better(a, result_.winner))) {
      best_ = picks;
      result_.winner = a;
    }
    // About as many more as there are tensors to refine.
    const auto count = std::ssize(tried_);
    if (progress_) progress_("measuring plans", count, count + std::ssize(picks));
    return a;
  }

  // Where bytes turn out not to add up, solves again for as many fewer as they exceed the budget.
  Status WithinBudget() {
    int64_t target = *limit_.budget_bytes - rest_;
    for (int round = 0; round < kRounds; ++round) {
      const Result<Picks> picks = LeastCost(choices_, target);
      if (!picks.ok()) break;
      OCTET_ASSIGN(const S4dAttempt a, Try(*picks, Kind::kSolved));
      if (Fits(a)) return {};
      target -= a.sizes.total() - *limit_.budget_bytes;
    }
    if (!best_.empty()) return {};
    const Picks smallest = PicksOf([](const S4dTensorForms& t) {
      return std::ranges::min_element(t.forms, {}, &S4dForm::bytes) - t.forms.begin();
    });
    OCTET_ASSIGN(const S4dAttempt least, Try(smallest, Kind::kSmallest));
    if (Fits(least)) return {};
    return InvalidArgument(
        fmt::format("a budget of {} bytes cannot be kept: with the smallest width of every tensor "
                    "the model has {} bytes",
                    *limit_.budget_bytes, least.sizes.total()));
  }

  // The least cost, whatever the bytes, where no assignment has `allowed`.
  Result<Picks> SolveKl(double allowed) const {
    Result<Picks> picks = FewestBytes(choices_, allowed);
    if (picks.ok()) return picks;
    return LeastCost(choices_, std::numeric_limits<int64_t>::max());
  }

  Status WithinKl() {
    const Picks widest = PicksOf([](const S4dTensorForms& t) { return t.forms.size() - 1; });
    OCTET_ASSIGN(const S4dAttempt most, Try(widest, Kind::kWidest));
    double allowed = *limit_.max_kl;
    for (int round = 0; round < kRounds; ++round) {
      OCTET_ASSIGN(const Picks picks, SolveKl(allowed));
      const bool again = Tried(picks);
      OCTET_ASSIGN(const S4dAttempt a, Try(picks, Kind::kSolved));
      if (!Fits(a)) OCTET_TRY(Raise(picks));
      if (again) break;
      const double measured = std::max(a.kl, 1e-3 * *limit_.max_kl);
      allowed = CostOf(picks) * std::clamp(*limit_.max_kl / measured, 0.1, 4.0);
    }
    if (!best_.empty()) return {};
    return InvalidArgument(
        fmt::format("a KL of {} cannot be kept: with the most bits of every tensor it is {:.3g} "
                    "nats ({} bytes)",
                    *limit_.max_kl, most.kl, most.sizes.total()));
  }

  // Raises one tensor after the other until the KL holds, or no fewer bytes than the best has.
  Status Raise(Picks picks) {
    while (RaiseOne(&picks)) {
      if (!best_.empty() && BytesOf(picks) + rest_ >= result_.winner.sizes.total()) return {};
      OCTET_ASSIGN(const S4dAttempt a, Try(picks, Kind::kRaised));
      if (Fits(a)) return {};
    }
    return {};
  }

  // The largest predicted gain per byte; without any gain the tensor of the fewest bits. False
  // where all have their most.
  bool RaiseOne(Picks* picks) const {
    size_t tensor = 0, form = 0;
    double most = 0;
    for (size_t i = 0; i < picks->size(); ++i) {
      const S4dForm& now = Form(i, (*picks)[i]);
      for (size_t j = (*picks)[i] + 1; j < choices_[i].size(); ++j) {
        const double bytes =
            static_cast<double>(std::max<int64_t>(Form(i, j).bytes - now.bytes, 0));
        // Less than a byte, so that what takes none goes first.
        const double gain = (now.kl - Form(i, j).kl) / (bytes + 1e-6);
        if (gain <= most) continue;
        most = gain;
        tensor = i;
        form = j;
      }
    }
    if (most == 0) {
      int fewest = std::numeric_limits<int>::max();
      for (size_t i = 0; i < picks->size(); ++i) {
        const int bits = Form(i, (*picks)[i]).bits;
        if ((*picks)[i] + 1 == choices_[i].size() || bits >= fewest) continue;
        fewest = bits;
        tensor = i;
        form = (*picks)[i] + 1;
      }
      if (fewest == std::numeric_limits<int>::max()) return false;
    }
    (*picks)[tensor] = form;
    return true;
  }

  // Changes one tensor after the other until that no longer helps: to its next width under a
  // budget, to the next that takes less under a KL.
  Status Refine() {
    for (int round = 0; round < kRounds; ++round) {
      const Picks before = best_;
      for (size_t i = 0; i < choices_.size(); ++i) {
        const Picks picks = Neighbour(i);
        const bool worth = limit_.max_kl ? BytesOf(picks) < BytesOf(best_)
                                         : BytesOf(picks) + rest_ <= *limit_.budget_bytes;
        if (worth) OCTET_TRY(Try(picks, Kind::kRefined).status());
      }
      if (best_ == before) break;
    }
    return {};
  }

  // The best, or it with another form of tensor i.
  Picks Neighbour(size_t i) const {
    Picks picks = best_;
    if (limit_.max_kl) {
      while (picks[i] > 0 && Form(i, picks[i]).bytes >= Form(i, best_[i]).bytes) {
        --picks[i];
      }
    } else if (picks[i] + 1 < choices_[i].size()) {
      ++picks[i];
    }
    return picks;
  }

  const S4dPlan& base_;
  const S4dWidthLimit& limit_;
  const S4dAccounting& accounting_;
  const S4dMeanKl& mean_kl_;
  const Progress& progress_;

  std::vector<Choices> choices_;
  int64_t rest_ = 0;  // of the last attempt: bytes that are of no form
  std::map<Picks, S4dAttempt> tried_;
  Picks best_;  // empty: none yet
  S4dAllocation result_;
};

}  // namespace

Result<S4dAllocation> AllocateS4dWidths(const S4dPlan& base, const S4dWidthLimit& limit,
                                        std::vector<S4dTensorForms> forms,
                                        const S4dAccounting& accounting, const S4dMeanKl& mean_kl,
                                        const Progress& progress) {
  if (limit.budget_bytes.has_value() == limit.max_kl.has_value()) {
    return InvalidArgument("widths need a budget or a largest KL, and not both");
  }
  if (forms.empty()) return InvalidArgument("the plan quantizes nothing");
  return Search(base, limit, std::move(forms), accounting, mean_kl, progress).Run();
}

}  // namespace octet
