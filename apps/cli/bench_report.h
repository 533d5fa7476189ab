// The report of `octet bench`: tables for people, an object for programs.
#ifndef OCTET_APPS_CLI_BENCH_REPORT_H_
#define OCTET_APPS_CLI_BENCH_REPORT_H_

#include <string>

#include "apps/cli/bench_subjects.h"
#include "apps/cli/options.h"
#include "base/json.h"
#include "eval/bench.h"
#include "eval/spread.h"

namespace octet::cli {

// Speed of every row, then, with --stages, the tables of stages and the roofs.
std::string BenchText(const BenchCommand& c, const BenchField& field, const BenchReport& report);

// The same: "rows" and "roofs" have everything. "models" has medians of each contestant for the
// first prompt and number of threads as plain members; of a single one they stand also beside it.
Json BenchJson(const BenchCommand& c, const BenchField& field, const BenchReport& report);

// "median", "min" and "max".
Json SpreadJson(const Spread& s);

// What of a second the stage's roof allows: bytes of memory for decode, operations on codes or
// floats for a prompt, of which it does `of`.
struct StageLimit {
  double limit = 0, of = 0;
  double share() const { return limit > 0 ? of / limit : 0; }
};
StageLimit LimitOf(const BenchRow& row, const Stage& stage, const Roof& roof);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_BENCH_REPORT_H_
