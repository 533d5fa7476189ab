// Two models on the same items of tasks.
#ifndef OCTET_EVAL_PAIRED_H_
#define OCTET_EVAL_PAIRED_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "eval/compare.h"
#include "eval/task_results.h"

namespace octet {

// Probability that `lost` and `won` are at least as far apart when each change is as likely to be
// one as the other: McNemar's test, exact, two-sided; 1 without changes (McNemar 1947; the exact
// form is the binomial test of the changed items).
double McNemarExact(int64_t lost, int64_t won);

struct PairedTask {
  const TaskSpec* task = nullptr;
  int64_t items = 0;
  double baseline = 0, candidate = 0;  // the headline metric
  Estimate difference;                 // candidate - baseline, of the headline metric
  int64_t lost = 0, won = 0;           // right in the baseline only, in the candidate only
  int64_t changed = 0;                 // other predictions, right or wrong; of tasks with choices
  double p = 1;                        // McNemarExact(lost, won)
  // Mean change of the log-likelihood of the right answer, nats: says more than flips do.
  Estimate log_likelihood;
};

struct PairedReport {
  std::vector<PairedTask> tasks;  // in the order of AllTasks
  Estimate average;               // unweighted mean of the differences of the tasks
};

// Compares the candidate's items with the same ones of the baseline, which may have more. Intervals
// are 95 %: mean +- 1.96 standard errors of the differences by item, whose variances add up for the
// average. kInvalidArgument, naming the item, when the baseline lacks one or has it of other data.
Result<PairedReport> ComparePaired(std::span<const ItemResult> baseline,
                                   std::span<const ItemResult> candidate);

}  // namespace octet
#endif  // OCTET_EVAL_PAIRED_H_
