// Speed of the SSD alone, in floats and in codes, stage by stage: the comparison of SSDi8's table
// of kernels.
#ifndef OCTET_EVAL_SSD_BENCH_H_
#define OCTET_EVAL_SSD_BENCH_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "eval/progress.h"
#include "eval/spread.h"
#include "kernels/ssd.h"
#include "runtime/model.h"

namespace octet {

// A line of the table: microseconds of a call in each form, and how many times as fast codes are,
// taken within each repeat.
struct SsdTimes {
  Spread floats, codes, ratio;
};

struct SsdBenchRow {
  int64_t tokens = 0;
  std::array<SsdTimes, kSsdStages> stages;  // by SsdStage
  SsdTimes whole;                           // their sum
};

struct SsdBenchReport {
  int64_t heads = 0, head_dim = 0, state_size = 0, groups = 0, chunk_size = 0;
  std::vector<SsdBenchRow> rows;           // by number of tokens
  double load_average = 0, cpu_share = 0;  // as in BenchReport
};

// One layer of the model's shapes with random values on one thread: prompts of `tokens` tokens, in
// chunks of the model's length, with a fp32 state. The form in codes makes its inner scales per
// chunk. In each repeat both forms run every length once, in turn; one round before is not counted.
// kUnsupported for a model without an SSD, and where no vector kernel runs.
Result<SsdBenchReport> BenchSsd(const Model& model, std::span<const int64_t> tokens, int repeats,
                                const Progress& progress);

}  // namespace octet
#endif  // OCTET_EVAL_SSD_BENCH_H_
