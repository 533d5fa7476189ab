#include "eval/stages.h"

#include <algorithm>
#include <map>
#include <utility>

#include "eval/spread.h"
#include "exec/step_cost.h"

namespace octet {
namespace {

constexpr const char* kRest = "rest";

struct Sums {
  Stage stage;
  double integer_operations = 0;
  std::vector<double> microseconds;  // by repeat
};

// The element of that name, appended if there is none.
Sums& Find(const std::string& name, std::vector<Sums>* sums) {
  const auto found =
      std::ranges::find_if(*sums, [&](const Sums& s) { return s.stage.name == name; });
  if (found != sums->end()) return *found;
  sums->emplace_back().stage.name = name;
  return sums->back();
}

}  // namespace

StepObserver StageTimer::Observer() {
  return [this](size_t step, int64_t tokens, int64_t nanoseconds) {
    records_.push_back({step, tokens, nanoseconds});
  };
}

void StageTimer::EndRepeat(double seconds, bool counted) {
  if (counted) {
    repeats_.push_back(records_);
    seconds_.push_back(seconds);
  }
  records_.clear();
}

StageReport StageTimer::Get(int64_t tokens) const {
  const Graph& graph = model_->graph();
  const std::vector<StepKernels> steps = model_->program().Kernels();
  const auto T = static_cast<double>(tokens);
  std::map<std::pair<size_t, int64_t>, StepCost> costs;  // by step and tokens
  std::vector<Sums> sums;
  StageReport report;
  for (const Record& r : repeats_.front()) {
    auto [it, missing] = costs.try_emplace({r.step, r.tokens});
    StepCost& cost = it->second;
    if (missing) cost = CostOf(graph, model_->weights(), steps[r.step], r.tokens);
    Sums& s = Find(StageOf(graph, steps[r.step]), &sums);
    s.stage.bytes_per_token += cost.bytes() / T;
    s.stage.operations_per_token += cost.operations / T;
    if (cost.integer) s.integer_operations += cost.operations / T;
    report.read_bytes_per_token += (cost.weight_bytes + cost.state_bytes) / T;
  }
  Find(kRest, &sums);
  for (size_t i = 0; i < repeats_.size(); ++i) {
    for (Sums& s : sums) {
      s.microseconds.push_back(0);
    }
    double steps_time = 0;
    for (const Record& r : repeats_[i]) {
      const double microseconds = 1e-3 * static_cast<double>(r.nanoseconds);
      Find(StageOf(graph, steps[r.step]), &sums).microseconds.back() += microseconds;
      steps_time += microseconds;
    }
    Find(kRest, &sums).microseconds.back() = std::max(0.0, 1e6 * seconds_[i] - steps_time);
  }
  double total = 0;
  for (Sums& s : sums) {
    s.stage.us_per_token = SpreadOf(s.microseconds).median / T;
    s.stage.integer = 2 * s.integer_operations > s.stage.operations_per_token;
    total += s.stage.us_per_token;
  }
  for (Sums& s : sums) {
    s.stage.share = total > 0 ? s.stage.us_per_token / total : 0;
    report.stages.push_back(std::move(s.stage));
  }
  return report;
}

}  // namespace octet
