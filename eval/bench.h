// Speed of models, measured so that they can be compared.
#ifndef OCTET_EVAL_BENCH_H_
#define OCTET_EVAL_BENCH_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "eval/progress.h"
#include "eval/roof.h"
#include "eval/spread.h"
#include "eval/stages.h"
#include "runtime/model.h"

namespace octet {

struct BenchOptions {
  std::vector<int64_t> prefill = {512};  // tokens of a prompt; 0: do not measure that
  int64_t decode = 64;                   // tokens fed one by one; 0: do not measure decode
  std::vector<int64_t> batch;            // streams that decode together, as many tokens each
  int repeats = 5;
  std::vector<int> threads = {1};
  uint64_t seed = 0;    // of the random token ids
  bool stages = false;  // also where the time goes, and the roofs of the machine

  bool measures() const;  // anything at all
};
// kInvalidArgument when there is nothing to measure, or a number makes no sense.
Status Check(const BenchOptions& options);

// A model and the instruction set that it runs on, for which it was loaded (kernels/isa.h);
// "": what is in force.
struct BenchSubject {
  std::shared_ptr<const Model> model;
  std::string isa;
};

enum class BenchTest : uint8_t { kPrefill, kDecode };

// One subject in one test on some threads.
struct BenchRow {
  size_t subject = 0;
  int threads = 1;
  BenchTest test = BenchTest::kPrefill;
  int64_t tokens = 0;  // of each stream
  int64_t streams = 1;
  Spread tokens_per_s;                // of all streams together
  std::optional<StageReport> stages;  // with BenchOptions::stages; of one stream
};
// "pp512", "tg64", "tg64 b8": llama.cpp's names for a prompt in one call, for one token at a time,
// and for a token of each of 8 streams at a time.
std::string TestName(const BenchRow& row);

struct BenchReport {
  std::vector<BenchRow> rows;        // by subject, then threads, then test, then streams
  std::vector<int64_t> state_bytes;  // by subject: memory of one stream between tokens
  std::vector<Roof> roofs;  // with BenchOptions::stages: of each instruction set on each threads
  // Largest memory the process ever had, all models together; with BenchOptions::stages that
  // includes RoofBufferBytes().
  int64_t peak_rss_bytes = 0;
  double load_average = 0;  // of the machine over the last minute, when the measurement ended
  // CPU time over wall time times threads while measuring; well below 1: others took the CPU, or
  // the threads waited.
  double cpu_share = 0;

  // The row of one stream, or nullptr; of several prompts the first.
  const BenchRow* Find(size_t subject, BenchTest test) const;
  // The roof of that row, or nullptr.
  const Roof* FindRoof(const BenchRow& row, const std::string& isa) const;
};

// Each repeat visits every subject on every number of threads once, so that a slow moment of the
// machine hits all alike. All measurements start from an empty state: a prompt in one call,
// `decode` tokens in as many calls, each computing the logits of its last token. One round before
// the first repeat is not counted. Stages are timed in runs of their own beside the others, since
// looking at the clock takes time, and roofs in the same repeats. The instruction set of the
// environment is in force afterwards if a subject had one. The errors of Check and ForceIsa.
Result<BenchReport> Bench(std::span<const BenchSubject> subjects, const BenchOptions& options,
                          const Progress& progress);

}  // namespace octet
#endif  // OCTET_EVAL_BENCH_H_
