// `octet bench --ssd`: the SSD alone, in floats and in codes.
#ifndef OCTET_APPS_CLI_BENCH_SSD_H_
#define OCTET_APPS_CLI_BENCH_SSD_H_

#include "apps/cli/options.h"
#include "base/status.h"

namespace octet::cli {

// Measures and prints. kInvalidArgument for several models or instruction sets.
Status RunBenchSsd(const BenchCommand& c);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_BENCH_SSD_H_
