// Where the time of a run goes: by stage, beside what each stage moves and computes at least.
#ifndef OCTET_EVAL_STAGES_H_
#define OCTET_EVAL_STAGES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "exec/program.h"
#include "runtime/model.h"

namespace octet {

// The steps of all blocks that StageOf (exec/step_cost.h) calls the same; per token of the run.
struct Stage {
  std::string name;
  double us_per_token = 0;     // median of the repeats
  double share = 0;            // of the sum of all stages' times
  double bytes_per_token = 0;  // weights, state and values
  double operations_per_token = 0;
  bool integer = false;  // most operations are on codes
};

struct StageReport {
  std::vector<Stage> stages;  // in order of first use; the last is "rest": what is between steps
  // What must come from memory for a token: weights, and the state read and written.
  double read_bytes_per_token = 0;
};

// Collects the steps of observed runs that are all alike.
class StageTimer {
 public:
  explicit StageTimer(std::shared_ptr<const Model> model) : model_(std::move(model)) {}
  // For Session::Observe; the timer must outlive the runs.
  StepObserver Observer();
  // Ends a repeat, whose calls took `seconds` together. `counted`: false forgets it.
  void EndRepeat(double seconds, bool counted);
  // Of runs of `tokens` tokens; at least one repeat.
  StageReport Get(int64_t tokens) const;

 private:
  struct Record {
    size_t step;
    int64_t tokens, nanoseconds;
  };
  std::shared_ptr<const Model> model_;
  std::vector<Record> records_;               // of this repeat
  std::vector<std::vector<Record>> repeats_;  // counted ones
  std::vector<double> seconds_;               // of those
};

}  // namespace octet
#endif  // OCTET_EVAL_STAGES_H_
