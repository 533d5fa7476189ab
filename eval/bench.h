// Speed of models, measured so that they can be compared.
#ifndef OCTET_EVAL_BENCH_H_
#define OCTET_EVAL_BENCH_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "eval/progress.h"
#include "runtime/model.h"

namespace octet {

struct BenchOptions {
  int64_t prefill = 512;  // tokens of the prompt; 0: do not measure prefill
  int64_t decode = 64;    // tokens fed one by one; 0: do not measure decode
  int repeats = 5;
  int threads = 1;
  uint64_t seed = 0;  // of the random token ids
};

// Of the repeats; zeros for what was not measured.
struct Spread {
  double median = 0, min = 0, max = 0;
};
// At least one value.
Spread SpreadOf(std::vector<double> values);

struct BenchRow {
  Spread prefill_tokens_per_s;
  Spread decode_tokens_per_s;
  int64_t state_bytes = 0;  // memory of one stream between tokens
};

struct BenchReport {
  std::vector<BenchRow> rows;  // one for each model
  // Largest memory the process ever had, all models together.
  int64_t peak_rss_bytes = 0;
  double load_average = 0;  // of the machine over the last minute, when the measurement ended
  // CPU time over wall time times threads while measuring; well below 1: others took the CPU, or
  // the threads waited.
  double cpu_share = 0;
};

// Each repeat visits every model once, so that a slow moment of the machine hits all alike. Both
// measurements start from an empty state: `prefill` tokens in one call, `decode` tokens in as many
// calls, each computing the logits of its last token. One round before the first repeat is not
// counted. kInvalidArgument when there is nothing to measure.
Result<BenchReport> Bench(std::span<const std::shared_ptr<const Model>> models,
                          const BenchOptions& options, const Progress& progress);

}  // namespace octet
#endif  // OCTET_EVAL_BENCH_H_
