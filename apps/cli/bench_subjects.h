// What `octet bench` measures: each model, and each recipe of it, on each instruction set.
#ifndef OCTET_APPS_CLI_BENCH_SUBJECTS_H_
#define OCTET_APPS_CLI_BENCH_SUBJECTS_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "apps/cli/options.h"
#include "base/status.h"
#include "eval/bench.h"
#include "io/temporary_folder.h"

namespace octet::cli {

struct BenchContestant {
  std::string folder;  // as given; of a recipe that of the float model
  std::string name;    // the end of the folder that tells it apart, or the recipe
  std::string recipe;  // "": the model as it is
  std::string isa;     // that it runs on
  BenchSubject subject;
};

struct BenchField {
  std::vector<BenchContestant> contestants;
  std::optional<TemporaryFolder> folder;  // of the recipes' models
};

// kInvalidArgument where a list of a flag has a value twice.
template <class T>
Status CheckOnce(const char* flag, const std::vector<T>& values) {
  std::set<T> seen;
  for (const T& v : values) {
    if (!seen.insert(v).second) return InvalidArgument(fmt::format("{} names {} twice", flag, v));
  }
  return {};
}

// Loads, and with --recipes quantizes, saying so. kInvalidArgument for recipes of several models
// or of a quantized one, and for an instruction set that is named twice.
Result<BenchField> MakeBenchField(const BenchCommand& c);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_BENCH_SUBJECTS_H_
