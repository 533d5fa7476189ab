#include "quant/plan_parts.h"

#include <algorithm>
#include <array>

namespace octet {
namespace {

constexpr std::array kMatrices = {"linears",  "embedding", "head",   "in_proj",
                                  "out_proj", "x_proj",    "dt_proj"};
constexpr std::array kLinearInputs = {"linear-inputs", "final_norm", "y_rot"};
constexpr std::array kLinearSites = {"xz", "zxbcdt", "x_dbl", "dt_in", "out", "logits"};

bool IsMatrixRule(const WeightRule& rule) {
  return std::ranges::any_of(kMatrices,
                             [&](const char* name) { return MatchesName(rule.tensors, name); });
}

// Whether the rule is for what only linears read.
bool IsLinearInput(const QuantPlan& plan, const SiteRule& rule) {
  const auto is_fork = [&](const ForkRule& f) {
    return f.site == rule.sites && std::ranges::count(kLinearSites, f.reader) != 0;
  };
  return std::ranges::count(kLinearInputs, rule.sites) != 0 ||
         std::ranges::any_of(plan.forks, is_fork);
}

}  // namespace

QuantPlan OnlySsm(QuantPlan plan) {
  std::erase_if(plan.weights, IsMatrixRule);
  std::erase_if(plan.sites, [&](const SiteRule& r) { return IsLinearInput(plan, r); });
  return plan;
}

QuantPlan OnlyLinears(QuantPlan plan) {
  const QuantPlan none;
  std::erase_if(plan.weights, [](const WeightRule& r) { return !IsMatrixRule(r); });
  std::erase_if(plan.sites, [&](const SiteRule& r) { return !IsLinearInput(plan, r); });
  plan.ssd = none.ssd;
  plan.full_score = none.full_score;
  plan.running_state = none.running_state;
  plan.state = none.state;
  plan.state_scales = none.state_scales;
  plan.state_observer = none.state_observer;
  plan.state_alpha = none.state_alpha;
  plan.sweep_alpha = plan.sweep_alpha && std::ranges::any_of(plan.sites, [](const SiteRule& r) {
                       return r.observer == ObserverKind::kPercentile;
                     });
  return plan;
}

bool QuantizesSomething(const QuantPlan& plan) {
  return std::ranges::any_of(plan.sites, [](const SiteRule& r) { return r.codec != "float"; }) ||
         std::ranges::any_of(plan.weights, [](const WeightRule& r) { return r.bits != 32; }) ||
         plan.state != "f32" || plan.ssd != SsdMode::kFloat;
}

}  // namespace octet
